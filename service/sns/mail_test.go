package sns_test

import (
	"bufio"
	"io"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"net/textproto"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/mail"
)

// mailbox is an SMTP server that takes everything.
func mailbox(t *testing.T) (address string, got chan string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got = make(chan string, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := textproto.NewReader(bufio.NewReader(conn))
				io.WriteString(conn, "220 hello\r\n")
				for {
					line, err := in.ReadLine()
					if err != nil {
						return
					}
					if line == "DATA" {
						io.WriteString(conn, "354 go on\r\n")
						data, _ := in.ReadDotBytes()
						got <- string(data)
					}
					io.WriteString(conn, "250 fine\r\n")
				}
			}()
		}
	}()
	return l.Addr().String(), got
}

func TestToMailbox(t *testing.T) {
	address, got := mailbox(t)
	server, err := mail.New(mail.Config{Server: address, From: "cloud@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	h := start(t, func(c *cloud.Config) { c.Mail = server })
	next := func() (m *netmail.Message, body string) {
		t.Helper()
		select {
		case text := <-got:
			m, err := netmail.ReadMessage(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(quotedprintable.NewReader(m.Body))
			if err != nil {
				t.Fatal(err)
			}
			return m, string(b)
		case <-time.After(time.Minute):
			t.Fatal("no e-mail came")
		}
		return nil, ""
	}
	link := regexp.MustCompile(`http://\S+`)
	topicARN := h.topic("t", "DisplayName", "The Shop")
	for _, protocol := range []string{"email", "email-json"} {
		h.subscribe(topicARN, protocol, protocol+"@example.org")
		m, body := next()
		url := link.FindString(body)
		if protocol == "email-json" {
			e := open(t, body)
			verify(t, e)
			url = e.SubscribeURL
		}
		if m.Header.Get("To") != "<"+protocol+"@example.org>" || m.Header.Get("From") != `"The Shop" <cloud@example.com>` || !strings.Contains(m.Header.Get("Subject"), "Subscription Confirmation") {
			t.Errorf("the headers are %v", m.Header)
		}
		if status, answer := follow(t, url); status != 200 {
			t.Fatalf("the link %s answers %d %s", url, status, answer)
		}
	}
	h.publish(topicARN, "A text.", func(in *sns.PublishInput) { in.Subject = aws.String("News") })
	for range 2 {
		m, body := next()
		if m.Header.Get("Subject") != "News" {
			t.Errorf("the headers are %v", m.Header)
		}
		if strings.HasPrefix(body, "{") {
			verify(t, open(t, body))
			continue
		}
		if !strings.HasPrefix(body, "A text.\n") {
			t.Errorf("the text is %q", body)
		}
		if status, answer := follow(t, link.FindString(body)); status != 200 {
			t.Errorf("the link to end it answers %d %s", status, answer)
		}
	}
	if m, _ := next(); !strings.Contains(m.Header.Get("Subject"), "Unsubscribe Confirmation") {
		t.Errorf("the headers are %v", m.Header)
	}
	if _, err := h.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topicARN, Protocol: aws.String("email"), Endpoint: aws.String("a@b.c\r\nBcc: d@e.f")}); err == nil {
		t.Error("an address with a header in it subscribes")
	}
}

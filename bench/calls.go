package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// row is one operation that is measured.
type row struct {
	name      string
	operation string
	body      []byte
}

// prepare makes keys and the requests that use them.
func prepare(s *server) ([]row, error) {
	key := func(spec, usage string) (string, error) {
		var out struct{ KeyMetadata struct{ Arn string } }
		err := s.call("CreateKey", map[string]string{"KeySpec": spec, "KeyUsage": usage}, &out)
		return out.KeyMetadata.Arn, err
	}
	symmetric, err := key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	if err != nil {
		return nil, err
	}
	p256, err := key("ECC_NIST_P256", "SIGN_VERIFY")
	if err != nil {
		return nil, err
	}
	rsa, err := key("RSA_2048", "SIGN_VERIFY")
	if err != nil {
		return nil, err
	}
	plaintext := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 32)))
	var encrypted struct{ CiphertextBlob string }
	encrypt := map[string]any{"KeyId": symmetric, "Plaintext": plaintext, "EncryptionContext": map[string]string{"purpose": "bench"}}
	if err := s.call("Encrypt", encrypt, &encrypted); err != nil {
		return nil, err
	}
	digest := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("d", 32)))
	var rows []row
	for _, r := range []struct {
		name, operation string
		in              any
	}{
		{"Encrypt", "Encrypt", encrypt},
		{"Decrypt", "Decrypt", map[string]any{"CiphertextBlob": encrypted.CiphertextBlob, "EncryptionContext": map[string]string{"purpose": "bench"}}},
		{"GenerateDataKey", "GenerateDataKey", map[string]any{"KeyId": symmetric, "KeySpec": "AES_256"}},
		{"Sign P-256", "Sign", map[string]any{"KeyId": p256, "Message": digest, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}},
		{"Sign RSA-2048", "Sign", map[string]any{"KeyId": rsa, "Message": digest, "MessageType": "DIGEST", "SigningAlgorithm": "RSASSA_PSS_SHA_256"}},
	} {
		body, err := json.Marshal(r.in)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{r.name, r.operation, body})
	}
	return rows, nil
}

// contender is a server with a request that it is measured with.
type contender struct {
	name  string
	at    *server
	m     message
	conns int // 0 for those of the others
	sum   result
}

// rounds is how often each contender has its turn: turns are short and interleaved, so that whatever else the machine does meets all alike.
const rounds = 5

// contest gives each its turns, of as much time as is given in all.
func contest(ctx context.Context, all []*contender, conns int, each time.Duration) error {
	for round := range rounds + 1 {
		for _, c := range all {
			r, err := c.at.burst(ctx, c.m, cmp.Or(c.conns, conns), each/rounds)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if round > 0 { // the first only warms up
				c.sum.add(r)
			}
		}
	}
	return nil
}

// besideDecrypt prints calls beside the first, which is KMS Decrypt.
func besideDecrypt(all []*contender) {
	fmt.Println("| call | requests/s | p50 | p99 | server CPU µs/request | of KMS Decrypt |\n| --- | ---: | ---: | ---: | ---: | ---: |")
	for _, c := range all {
		r := &c.sum
		fmt.Printf("| %s | %.0f | %s | %s | %.1f | %.2f |\n", c.name, r.perSecond(), short(r.quantile(.5)), short(r.quantile(.99)), r.cpuMicros(), r.perSecond()/all[0].sum.perSecond())
	}
	fmt.Println()
}

// contenderFor is one that makes the same call all the time.
func contenderFor(s *server, name string, a api, operation string, in any) (*contender, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	m, err := s.signFor(a, operation, body)
	if err != nil {
		return nil, err
	}
	return &contender{name: name, at: s, m: m}, nil
}

// calls prints throughput and the server's processor time per request, beside the floors.
func calls(ctx context.Context, o options) error {
	s, err := startHoldfast(ctx, o.binary, "")
	if err != nil {
		return err
	}
	defer s.end()
	idle, err := s.resident()
	if err != nil {
		return err
	}
	rows, err := prepare(s)
	if err != nil {
		return err
	}
	var all []*contender
	for _, kind := range []string{"answer", "encrypt"} {
		f, err := startFloor(ctx, kind)
		if err != nil {
			return err
		}
		defer f.end()
		m, err := f.sign("Encrypt", rows[0].body)
		if err != nil {
			return err
		}
		all = append(all, &contender{name: "floor `" + kind + "`", at: f, m: m})
	}
	for _, row := range rows {
		if !strings.HasPrefix(row.name, o.rows) {
			continue
		}
		m, err := s.sign(row.operation, row.body)
		if err != nil {
			return err
		}
		all = append(all, &contender{name: row.name, at: s, m: m})
	}
	if err := contest(ctx, all, o.conns, o.seconds); err != nil {
		return err
	}
	fmt.Printf("## Calls\n\nStrict mode: signature verified, policy evaluated, call recorded. %d connections, %s a row in %d turns.\nResident memory idle after the first start: %.1f MiB.\n\n",
		o.conns, o.seconds, rounds, float64(idle)/(1<<20))
	fmt.Println("| call | requests/s | p50 | p99 | server CPU µs/request | of floor `encrypt` |\n| --- | ---: | ---: | ---: | ---: | ---: |")
	for _, c := range all {
		printRow(c.name, &c.sum, all[1].sum.cpuMicros())
	}
	fmt.Println()
	return nil
}

func printRow(name string, r *result, floor float64) {
	fmt.Printf("| %s | %.0f | %s | %s | %.1f | %.2f |\n", name, r.perSecond(), short(r.quantile(.5)), short(r.quantile(.99)), r.cpuMicros(), r.cpuMicros()/floor)
}

func short(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

// latency prints the latency at a fixed rate.
func latency(ctx context.Context, o options) error {
	s, err := startHoldfast(ctx, o.binary, "")
	if err != nil {
		return err
	}
	defer s.end()
	rows, err := prepare(s)
	if err != nil {
		return err
	}
	f, err := startFloor(ctx, "answer")
	if err != nil {
		return err
	}
	defer f.end()
	fmt.Print("## Latency at 1,000 requests a second\n\nFrom when a request was due to its answer.\n\n| call | p50 | p99 | p99.9 |\n| --- | ---: | ---: | ---: |\n")
	rate := func(name string, at *server, row row) error {
		m, err := at.sign(row.operation, row.body)
		if err != nil {
			return err
		}
		if _, err := at.paced(ctx, m, 1000, 8, time.Second); err != nil {
			return err
		}
		r, err := at.paced(ctx, m, 1000, 8, o.seconds)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Printf("| %s | %s | %s | %s |\n", name, short(r.quantile(.5)), short(r.quantile(.99)), short(r.quantile(.999)))
		return nil
	}
	if err := rate("floor `answer`", f, rows[0]); err != nil {
		return err
	}
	for _, row := range rows[:4] {
		if err := rate(row.name, s, row); err != nil {
			return err
		}
	}
	fmt.Println()
	return nil
}

// stall prints what making RSA keys does to other calls.
func stall(ctx context.Context, o options) error {
	s, err := startHoldfast(ctx, o.binary, "")
	if err != nil {
		return err
	}
	defer s.end()
	rows, err := prepare(s)
	if err != nil {
		return err
	}
	m, err := s.sign(rows[0].operation, rows[0].body)
	if err != nil {
		return err
	}
	alone, err := s.paced(ctx, m, 500, 8, o.seconds)
	if err != nil {
		return err
	}
	making, cancel := context.WithTimeout(ctx, o.seconds)
	defer cancel()
	made := make(chan int, 1)
	go func() {
		n := 0
		for making.Err() == nil {
			if s.call("CreateKey", map[string]string{"KeySpec": "RSA_4096", "KeyUsage": "SIGN_VERIFY"}, nil) != nil {
				break
			}
			n++
		}
		made <- n
	}()
	beside, err := s.paced(ctx, m, 500, 8, o.seconds)
	if err != nil {
		return err
	}
	fmt.Printf("## Encrypt while RSA-4096 keys are made\n\n500 requests a second.\n\n| | p50 | p99 |\n| --- | ---: | ---: |\n| alone | %s | %s |\n| beside the making of %d keys | %s | %s |\n\n",
		short(alone.quantile(.5)), short(alone.quantile(.99)), <-made, short(beside.quantile(.5)), short(beside.quantile(.99)))
	return nil
}

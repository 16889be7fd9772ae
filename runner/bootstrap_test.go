package runner_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

var apiURL = "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/"

// bootstrap is the function of these tests: what it does is its handler's name.
func bootstrap() {
	behave, ok := behaviours[os.Getenv("_HANDLER")]
	if !ok {
		fmt.Println("there is no such behaviour")
		os.Exit(3)
	}
	behave()
}

// event is what the runtime API gave.
type event struct {
	id   string
	head http.Header
	body string
}

func next() event {
	r, err := http.Get(apiURL + "invocation/next")
	if err != nil {
		fmt.Println("next:", err)
		os.Exit(4)
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return event{r.Header.Get("Lambda-Runtime-Aws-Request-Id"), r.Header, string(b)}
}

func post(path, body string) (int, string) {
	r, err := http.Post(apiURL+path, "application/json", strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}

func (e event) answer(body string) (int, string) { return post("invocation/"+e.id+"/response", body) }

// handler is a behaviour that answers each event.
func handler(f func(e event) string) func() {
	return func() {
		for {
			e := next()
			e.answer(f(e))
		}
	}
}

var behaviours = map[string]func(){
	"echo": handler(func(e event) string { return e.body }),
}

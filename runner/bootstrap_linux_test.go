package runner_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
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

// handler is a behaviour that answers each event with what f makes of it.
func handler(f func(e event) any) func() {
	return func() {
		for {
			e := next()
			b, err := json.Marshal(f(e))
			if err != nil {
				b = []byte(err.Error())
			}
			e.answer(string(b))
		}
	}
}

// each answers a list of strings with what f says of each.
func each(f func(s string) string) func() {
	return handler(func(e event) any {
		var list []string
		if err := json.Unmarshal([]byte(e.body), &list); err != nil {
			return err.Error()
		}
		said := map[string]string{}
		for _, s := range list {
			said[s] = f(s)
		}
		return said
	})
}

func errText(err error) string {
	if err == nil {
		return "done"
	}
	if p, ok := err.(*os.PathError); ok {
		err = p.Err
	}
	return err.Error()
}

var behaviours = map[string]func(){
	"echo": handler(func(e event) any { return json.RawMessage(e.body) }),

	"tell": handler(func(e event) any {
		status, _ := os.ReadFile("/proc/self/status")
		dir, _ := os.Getwd()
		host, _ := os.Hostname()
		return map[string]any{"env": os.Environ(), "head": e.head, "status": string(status), "dir": dir, "host": host, "uid": os.Getuid(), "args": os.Args}
	}),
	"log": handler(func(e event) any {
		fmt.Println("to standard output")
		fmt.Fprint(os.Stderr, "to standard error, with no end")
		return nil
	}),
	"count": func() {
		n := 0
		handler(func(event) any { n++; return n })()
	},
	"fail": func() {
		for {
			post("invocation/"+next().id+"/error", `{"errorType":"Mine","errorMessage":"it failed"}`)
		}
	},
	"exit": func() { next(); os.Exit(7) },
	"quit": func() { next(); os.Exit(0) },
	"initexit": func() {
		fmt.Println("cannot start")
		os.Exit(5)
	},
	"initerror": func() { post("init/error", `{"errorType":"Init","errorMessage":"no"}`); time.Sleep(time.Minute) },
	"inithang":  func() { time.Sleep(time.Hour) },
	"diesidle": func() {
		e := next()
		e.answer(`"last words"`)
		os.Exit(0)
	},

	"read": each(func(path string) string {
		info, err := os.Stat(path)
		if err == nil && info.IsDir() {
			var list []os.DirEntry
			if list, err = os.ReadDir(path); err == nil {
				return fmt.Sprintf("%d entries", len(list))
			}
		} else if err == nil {
			_, err = os.ReadFile(path)
		}
		return errText(err)
	}),
	"write": each(func(path string) string { return errText(os.WriteFile(path, []byte("x"), 0o644)) }),
	"list": each(func(pattern string) string {
		names, err := filepath.Glob(pattern)
		return fmt.Sprint(names, err)
	}),
	"fill": handler(func(event) any {
		f, err := os.Create("/tmp/large")
		if err != nil {
			return err.Error()
		}
		var n int64
		for b := make([]byte, 1<<20); err == nil; n++ {
			_, err = f.Write(b)
		}
		f.Close()
		os.Remove("/tmp/large")
		files := 0
		for ; ; files++ {
			if e := os.WriteFile(fmt.Sprintf("/tmp/%d", files), nil, 0o644); e != nil {
				break
			}
		}
		return map[string]any{"MiB": n - 1, "error": errText(err), "files": files}
	}),
	"calls":   handler(func(event) any { return systemCalls() }),
	"connect": each(connect),
	"resolve": each(func(name string) string {
		a, err := net.LookupHost(name)
		if err != nil {
			return "no such host"
		}
		return strings.Join(a, ",")
	}),
	"get": each(func(url string) string {
		r, err := http.Get(url)
		if err != nil {
			return err.Error()
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return fmt.Sprint(r.StatusCode, " ", string(b))
	}),

	"hang": func() {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		next()
		fmt.Println("hanging")
		exec.Command("/bin/sh", "-c", "trap '' TERM INT HUP; setsid sleep "+os.Getenv("TOKEN")+" & sleep "+os.Getenv("TOKEN")).Start()
		select {}
	},
	"forks": handler(func(event) any {
		for i := range 3000 {
			if err := exec.Command("/bin/sleep", os.Getenv("TOKEN")).Start(); err != nil {
				return map[string]any{"children": i, "error": errText(err)}
			}
		}
		return map[string]any{"children": 3000}
	}),
	"bomb": func() {
		next()
		exec.Command("/bin/sh", "-c", "bomb() { bomb | bomb & }; bomb", os.Getenv("TOKEN")).Start()
		select {}
	},
	"eats": func() { next(); eat() },
	"eatschild": func() {
		next()
		c := exec.Command("/var/task/bootstrap")
		c.Env = append(os.Environ(), "_HANDLER=eatsnow")
		fmt.Println(c.Run())
		select {}
	},
	"eatsnow": eat,
	"eatsshared": func() {
		next()
		for { // no process has what is unmapped
			if err := shared(64 << 20); err != nil {
				fmt.Println("shared memory:", err)
				return
			}
		}
	},
	"floods": func() {
		next()
		line := bytes.Repeat([]byte("endless "), 1<<10)
		for {
			os.Stdout.Write(line)
		}
	},
	"twice": func() {
		for {
			e := next()
			e.answer(`"first"`)
			first, text := e.answer(`"second"`)
			f := next()
			f.answer(fmt.Sprintf(`%q`, fmt.Sprint(first, text)))
		}
	},
	"other": func() {
		for {
			e := next()
			status, text := post("invocation/another/response", `"stolen"`)
			wrong, _ := post("invocation/another/error", `"stolen"`)
			late, _ := post("init/error", `{}`)
			e.answer(fmt.Sprintf(`%q`, fmt.Sprint(status, wrong, late, text)))
		}
	},
	"huge": func() {
		for {
			e := next()
			status, text := e.answer(`"` + strings.Repeat("x", 7<<20) + `"`)
			fmt.Println("answered", status, text)
		}
	},
	"garbage": func() {
		e := next()
		for _, g := range []string{"\x00\xff\x00garbage\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", "GET /2018-06-01/runtime/invocation/../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET / HTTP/1.1\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 1000), "POST /2018-06-01/runtime/invocation/" + e.id + "x/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"} {
			c, err := net.Dial("tcp", os.Getenv("AWS_LAMBDA_RUNTIME_API"))
			if err != nil {
				continue
			}
			io.WriteString(c, g)
			c.Close()
		}
		e.answer(`"still here"`)
		next()
	},
	"truncates": func() {
		for {
			e := next()
			c, err := net.Dial("tcp", os.Getenv("AWS_LAMBDA_RUNTIME_API"))
			if err != nil {
				continue
			}
			fmt.Fprintf(c, "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf", e.id)
			c.Close()
		}
	},
	"apis": each(func(path string) string {
		r, err := http.Post("http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			return err.Error()
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return fmt.Sprint(r.StatusCode, " ", string(b))
	}),
	"streams": func() {
		for {
			e := next()
			body, w := io.Pipe()
			r, _ := http.NewRequest("POST", apiURL+"invocation/"+e.id+"/response", body)
			r.Header.Set("Content-Type", "text/x")
			r.Header.Set("Lambda-Runtime-Function-Response-Mode", "streaming")
			r.Trailer = http.Header{"Lambda-Runtime-Function-Error-Type": nil, "Lambda-Runtime-Function-Error-Body": nil}
			go func() {
				for i := range 3 {
					fmt.Fprintf(w, "chunk %d\n", i)
				}
				if e.body == `"fail"` {
					r.Trailer.Set("Lambda-Runtime-Function-Error-Type", "Late")
					r.Trailer.Set("Lambda-Runtime-Function-Error-Body", "eyJlcnJvclR5cGUiOiJMYXRlIn0=")
				}
				w.Close()
			}()
			if a, err := http.DefaultClient.Do(r); err == nil {
				a.Body.Close()
			}
		}
	},
	"ticks": func() {
		var n int
		go func() {
			for ; ; n++ {
				time.Sleep(5 * time.Millisecond)
			}
		}()
		handler(func(event) any { return n })()
	},
}

func eat() {
	var all [][]byte
	for {
		b := make([]byte, 8<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		all = append(all, b)
		_ = all
	}
}

func connect(address string) string {
	c, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return "refused"
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		return "refused"
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil {
		return "refused"
	}
	return string(b[:n])
}

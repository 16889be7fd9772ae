// Command echo is a Lambda function on the runtime provided.al2023 that returns its event.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		next, err := http.Get(api + "next")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		event, err := io.ReadAll(next.Body)
		next.Body.Close()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if d, err := time.ParseDuration(os.Getenv("TAKES")); err == nil {
			time.Sleep(d) // a function is a program of its own, in the time of the world
		}
		fmt.Printf("echo of %d bytes\n", len(event))
		done, err := http.Post(api+next.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", bytes.NewReader(event))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		done.Body.Close()
	}
}

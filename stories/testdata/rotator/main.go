// Command rotator is a rotation function on the runtime provided.al2023: it changes the password of a user of PostgreSQL in the four steps that Secrets Manager calls it for.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/holdfast-cloud/holdfast/database"
	"github.com/holdfast-cloud/holdfast/outbound"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// step is what a rotation function is called with.
type step struct {
	ClientRequestToken, SecretId, Step, RotationToken string
}

type object = map[string]any

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		next, err := http.Get(api + "next")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		var event step
		err = json.NewDecoder(next.Body).Decode(&event)
		next.Body.Close()
		if err == nil {
			err = rotate(&event)
		}
		how, answer := "/response", []byte("null")
		if err != nil {
			how = "/error"
			answer, _ = json.Marshal(object{"errorType": "RotationError", "errorMessage": event.Step + ": " + err.Error()})
			fmt.Println(string(answer))
		}
		done, err := http.Post(api+next.Header.Get("Lambda-Runtime-Aws-Request-Id")+how, "application/json", bytes.NewReader(answer))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		done.Body.Close()
	}
}

// rotate does one step.
func rotate(e *step) error {
	databases := database.New(database.Config{Guard: outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	current, at, err := value(e, object{"VersionStage": "AWSCURRENT"})
	if err != nil {
		return err
	}
	if e.Step == "createSecret" {
		password, err := database.NewPassword(rand.Reader, string(current.Engine))
		if err != nil {
			return err
		}
		return ask("PutSecretValue", object{
			"SecretId": e.SecretId, "ClientRequestToken": e.ClientRequestToken, "RotationToken": e.RotationToken,
			"SecretString": current.With(current.Username, password).JSON(), "VersionStages": []string{"AWSPENDING"},
		}, new(object))
	}
	pending, _, err := value(e, object{"VersionId": e.ClientRequestToken, "VersionStage": "AWSPENDING"})
	if err != nil {
		return err
	}
	switch e.Step {
	case "setSecret":
		change, err := databases.Change(ctx, current, current.Username, pending.Password)
		if err != nil {
			return err
		}
		defer change.Close()
		return change.Commit(ctx)
	case "testSecret":
		return databases.Login(ctx, pending)
	case "finishSecret":
		return ask("UpdateSecretVersionStage", object{
			"SecretId": e.SecretId, "VersionStage": "AWSCURRENT", "MoveToVersionId": e.ClientRequestToken, "RemoveFromVersionId": at,
		}, new(object))
	}
	return errors.New("there is no such step")
}

// value is what a version of the secret says, and which one it is.
func value(e *step, which object) (*database.Credentials, string, error) {
	which["SecretId"] = e.SecretId
	var found struct{ SecretString, VersionId string }
	if err := ask("GetSecretValue", which, &found); err != nil {
		return nil, "", err
	}
	c, err := database.Parse(found.SecretString)
	return c, found.VersionId, err
}

// ask calls Secrets Manager with the credentials of the function's role.
func ask(operation string, in object, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(http.MethodPost, os.Getenv("AWS_ENDPOINT_URL")+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	role := sigv4.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), Secret: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN")}
	// A function is a program of its own, and requests are signed in the time of the world.
	sigv4.Sign(r, role, os.Getenv("AWS_REGION"), "secretsmanager", time.Now(), sigv4.PayloadHash(body))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		return fmt.Errorf("%s: %s: %s", operation, answer.Status, said)
	}
	return json.NewDecoder(answer.Body).Decode(out)
}

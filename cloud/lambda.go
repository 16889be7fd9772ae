package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	eventsapi "github.com/holdfast-cloud/holdfast/api/events"
	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	lambdaapi "github.com/holdfast-cloud/holdfast/api/lambda"
	logsapi "github.com/holdfast-cloud/holdfast/api/logs"
	s3api "github.com/holdfast-cloud/holdfast/api/s3"
	snsapi "github.com/holdfast-cloud/holdfast/api/sns"
	sqsapi "github.com/holdfast-cloud/holdfast/api/sqs"
	stsapi "github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/runner"
	"github.com/holdfast-cloud/holdfast/service/lambda"
)

// Functions says how functions run.
type Functions struct {
	// Off has none run.
	Off bool
	// Reach is what they may connect to beside the cloud.
	Reach []runner.Reach
	// Instances is how many may run at once, of all functions together; 0 is the runner's default.
	Instances int
}

// codePath is where the code of functions and layers can be read by those who were told a location.
const codePath = pagePrefix + "lambda-code/"

// functionsDir is where the code of functions lies while it is in use.
const functionsDir = "functions"

var errFunctionsOff = errors.New("functions are off")

// openRunner makes what runs functions. It starts nothing.
func (c *core) openRunner(cfg Config) (err error) {
	config := runner.Config{
		Dir: filepath.Join(cfg.Dir, functionsDir), Endpoint: inside{c}, Reach: cfg.Functions.Reach, Clock: c.clock, Instances: cfg.Functions.Instances, Log: cfg.Log,
	}
	if cfg.Dir == "" {
		if config.Dir, err = os.MkdirTemp("", "holdfast-functions-"); err != nil {
			return err
		}
		c.scratch = config.Dir
	} else {
		config.Hide = []string{cfg.Dir}
	}
	c.functions, err = runner.New(config)
	return err
}

// closeRunner ends all functions.
func (c *core) closeRunner(ctx context.Context) (err error) {
	if c.functions != nil {
		err = c.functions.Close(ctx)
	}
	if c.scratch != "" {
		err = errors.Join(err, os.RemoveAll(c.scratch))
	}
	return err
}

// endFunctions ends those that run, whose callers would be waited for.
func (c *Cloud) endFunctions(ctx context.Context) error {
	core, release := c.hold()
	defer release()
	return core.functions.Close(ctx)
}

// inside is the cloud as functions reach it: calls, and nothing that is for its operator.
type inside struct{ c *core }

func (i inside) ServeHTTP(w http.ResponseWriter, r *http.Request) { i.c.door.ServeHTTP(w, r) }

func (c *core) openLambda(cfg Config, partition string) ([]door.Room, error) {
	if err := c.openRunner(cfg); err != nil {
		return nil, err
	}
	public := strings.TrimSuffix(cfg.PublicURL, "/")
	s, err := lambda.New(lambda.Config{
		Store: c.store, Blob: c.blob, Principals: c.directory, Partition: partition,
		KMS: kmsapi.Client{Transport: doorway{c}}, S3: s3api.Client{Transport: doorway{c}},
		FunctionURL: func(_, id string) string { return public + "/_holdfast/lambda-url/" + id + "/" },
		Supports:    c.functions.Supports,
		CodeURL:     func(location string) string { return public + codePath + location },
		Isolated: func() error {
			if cfg.Functions.Off {
				return errFunctionsOff
			}
			return c.functions.Available()
		},
		Running: lambda.Running{
			Runner: c.functions, Clock: c.clock, Seal: c.keyring, Meter: c.meter,
			STS: stsapi.Client{Transport: doorway{c}}, Logs: logsapi.Client{Transport: doorway{c}}, SQS: sqsapi.Client{Transport: doorway{c}}, SNS: snsapi.Client{Transport: doorway{c}},
			Lambda: lambdaapi.Client{Transport: doorway{c}}, Events: eventsapi.Client{Transport: doorway{c}},
			Perform: func(ctx context.Context, service, account, region string, do func(*call.Call) error) error {
				return c.door.Perform(ctx, service, account, region, do)
			},
			Report: func(err error) { cfg.Log.Error("functions", "cause", err.Error()) },
		},
	})
	if err != nil {
		return nil, fmt.Errorf("opening Lambda: %w", err)
	}
	c.lambda = s
	c.sweeper.Owners[lambda.BlobPrefix] = s.Unnamed
	c.caches["function_policies"] = s.CacheStats
	c.background(s.Run)
	c.beforeStep(s.SettleLogs)
	return []door.Room{s.Room()}, nil
}

// functionCode answers with the code at a location.
func (c *Cloud) functionCode(w http.ResponseWriter, r *http.Request) {
	core, release := c.hold()
	defer release()
	archive, size, err := core.lambda.Code(r.Context(), strings.TrimPrefix(r.URL.Path, codePath))
	if errors.Is(err, lambda.ErrNoCode) {
		reply(w, http.StatusForbidden, problem{"there is no code at this location, or no more"})
		return
	}
	if err != nil {
		c.cfg.Log.Error("giving out code", "cause", err.Error())
		reply(w, http.StatusInternalServerError, problem{"the code could not be read"})
		return
	}
	defer archive.Close()
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.Copy(w, archive)
}

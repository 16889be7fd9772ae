// Command holdfast is a security cloud in one binary: it speaks the AWS wire protocols, so that any SDK, CLI or tool written for AWS works against it by setting one
// endpoint URL.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/runner"
)

// command is one word after holdfast. A new one is a row in commands.
type command struct {
	name, usage, help string
	run               func(ctx context.Context, env *env, args []string) error
}

var commands = []command{
	{"serve", "[flags]", "start the cloud", serve},
	{"events", "[tail] [flags]", "print the audit records, oldest first, one JSON object a line; tail follows the events of EventBridge", events},
	{"why", "EVENT-OR-REQUEST-ID [flags]", "tell why a recorded call was allowed or denied", why},
	{"policy", "generate [flags]", "make a least-privilege policy of what a principal was recorded to do", policyCommand},
	{"credentials", "[flags]", "make an access key for a root user, or for an IAM user with a policy", credentials},
	{"seal", "status|rewrap|rotate [flags]", "tell or change the root key, or the key that everything is wrapped under", sealCommand},
	{"unseal", "[flags]", "give a share of the root key to a server that is sealed", unsealCommand},
	{"backup", "--to FILE [flags]", "write everything of a cloud, which may run, into one encrypted file; backup verify reads one", backupCommand},
	{"restore", "--from FILE --data NEWDIR [flags]", "make a data directory of a backup", restore},
	{"trail", "export|keys|verify [flags]", "check the files that a trail delivered: that none was changed, removed or added", trailCommand},
	{"exec", "--secret ID [flags] -- PROGRAM [arguments]", "run a program with secrets and parameters, and follow their rotation", execCommand},
	{"agent", "[flags]", "serve secrets and parameters to programs on this machine, as the AWS Secrets Manager Agent does", agentCommand},
	{"kms-plugin", "--key-id KEY [flags]", "encrypt the secrets of a Kubernetes cluster: a KMS v2 plugin", kmsPlugin},
	{"version", "", "print the version", version},
}

// env is what a command has of the outside world, so that tests can give it another one.
type env struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
}

func main() {
	runner.Init() // which does not return in the processes that it isolates functions with

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once, whatever it waits for
	os.Exit(run(ctx, &env{os.Stdin, os.Stdout, os.Stderr, os.Getenv}, os.Args[1:]))
}

// run returns the exit status: 0, 1 for what went wrong, 2 for wrong usage.
func run(ctx context.Context, e *env, args []string) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(e.out)
		if len(args) == 0 {
			return 2
		}
		return 0
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		err := c.run(ctx, e, args[1:])
		if status, ok := errors.AsType[exitStatus](err); ok {
			return int(status)
		}
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return 0
		case errors.Is(err, errUsage):
			fmt.Fprintf(e.err, "holdfast %s: %v\n", c.name, err)
			return 2
		}
		fmt.Fprintf(e.err, "holdfast %s: %v\n", c.name, err)
		return 1
	}
	fmt.Fprintf(e.err, "holdfast: there is no command %q\n\n", args[0])
	usage(e.err)
	return 2
}

var errUsage = errors.New("wrong usage")

func usage(w io.Writer) {
	fmt.Fprintln(w, "Holdfast is a security cloud that speaks the AWS wire protocols.\n\nUsage:")
	for _, c := range commands {
		fmt.Fprintf(w, "  holdfast %-12s %s\n", c.name, c.help)
	}
	fmt.Fprintln(w, "\nholdfast COMMAND -h tells a command's flags. Every flag can be given in the environment as well: --data is HOLDFAST_DATA.")
}

func version(_ context.Context, e *env, args []string) error {
	if err := newFlags(e, "version", "").parse(args); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.out, "holdfast %s (%s, %s/%s, FIPS mode %s)\n", cloud.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, cloud.FIPS())
	return err
}

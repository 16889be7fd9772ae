package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"golang.org/x/term"

	"github.com/holdfast-cloud/holdfast/agent/launch"
)

// exitStatus is the error of a command whose program ended with it, and has said what there was to say.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// execSettings are the flags of exec.
type execSettings struct {
	sources                 []*launch.Source
	onChange                launch.OnChange
	as, dir, prefix, retry  string
	refresh, stop, starting time.Duration
	connection
}

func (s *execSettings) register(f *flags) {
	source := func(name, help string, parse func(string) (*launch.Source, error)) {
		f.Func(name, help, func(text string) error {
			one, err := parse(text)
			if err == nil {
				s.sources = append(s.sources, one)
			}
			return err
		})
	}
	source("secret", "`ID[#MEMBER][=NAME]` of a secret, by name or ARN; may be given several times", launch.ParseSecret)
	source("param", "`NAME[=VARIABLE]` of a parameter, or PATH/[=PREFIX*] for all below a path; may be given several times", launch.ParseParameter)
	f.StringVar(&s.as, "as", "env", "`env` for variables of the environment, or files")
	f.StringVar(&s.prefix, "env-prefix", "", "`text` before the names of variables that no =NAME names")
	f.StringVar(&s.dir, "dir", "", "`directory` for the files, which must not exist; the program finds it in "+launch.DirectoryVariable+" (default a new one in memory)")
	f.Func("on-change", "what the program gets when values change: `restart`, none, or a signal such as signal:HUP (default restart)", func(text string) (err error) {
		s.onChange, err = launch.ParseOnChange(text)
		return err
	})
	f.DurationVar(&s.refresh, "refresh", time.Minute, "how `often` to look for changes, at least 1s, give or take a tenth")
	f.StringVar(&s.retry, "restart", "never", "`never`, or on-failure to start the program again when it fails, after 1s to 1m")
	f.DurationVar(&s.stop, "stop-timeout", 10*time.Second, "how `long` the program may take to end for a restart before it is killed")
	f.DurationVar(&s.starting, "start-timeout", 30*time.Second, "how `long` to wait at the start for a cloud that does not answer")
	s.connection.register(f, "SECRETS_MANAGER", "the secrets and parameters (default that of the AWS configuration, or us-east-1)")
}

func (s *execSettings) check() error {
	switch {
	case len(s.sources) == 0:
		return fmt.Errorf("%w: at least one --secret or --param is needed", errUsage)
	case s.as != "env" && s.as != "files":
		return fmt.Errorf("%w: --as is env or files", errUsage)
	case s.dir != "" && s.as != "files":
		return fmt.Errorf("%w: --dir is for --as files", errUsage)
	case s.prefix != "" && s.as == "files":
		return fmt.Errorf("%w: --env-prefix is for --as env", errUsage)
	case s.retry != "never" && s.retry != "on-failure":
		return fmt.Errorf("%w: --restart is never or on-failure", errUsage)
	case s.refresh < time.Second || s.stop < 0 || s.starting < 0:
		return fmt.Errorf("%w: --refresh is at least 1s, and --stop-timeout and --start-timeout are not negative", errUsage)
	}
	return nil
}

// execCommand runs a program with secrets, and ends with its exit status.
func execCommand(ctx context.Context, e *env, args []string) error {
	s := new(execSettings)
	f := newFlags(e, "exec", "--secret ID [flags] -- PROGRAM [arguments]")
	s.register(f)
	own, program := args, []string(nil)
	if at := slices.Index(args, "--"); at >= 0 {
		own, program = args[:at], args[at+1:]
	}
	if err := f.parse(own); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	if len(program) == 0 {
		return fmt.Errorf("%w: the program to run stands behind --", errUsage)
	}
	in, _ := e.in.(*os.File)
	terminal := in != nil && term.IsTerminal(int(in.Fd()))
	if os.Getpid() == 1 {
		status, err := launch.Init(terminal)
		return ending(e, status, err)
	}
	return s.launch(ctx, e, program, terminal)
}

func (s *execSettings) launch(ctx context.Context, e *env, program []string, terminal bool) error {
	from, err := s.secretSources(ctx, e)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(e.err, nil))
	f := &launch.Fetcher{Secrets: from.Secrets, Parameters: from.Parameters, Sources: s.sources, Naming: launch.Naming{Files: s.as == "files", Prefix: s.prefix},
		Taken: func(name string) bool { _, taken := os.LookupEnv(name); return taken }}
	cfg := launch.Config{
		Args: program, Environment: os.Environ(), In: e.in, Out: e.out, Err: e.err, Terminal: terminal,
		OnChange: s.onChange, Retry: s.retry == "on-failure", Refresh: s.refresh, Stop: s.stop, Start: s.starting, Log: log,
	}
	if s.as == "files" {
		if cfg.Directory, err = launch.NewDirectory(s.dir, e.getenv); err != nil {
			return err
		}
		if cfg.Directory.OnDisk() {
			log.Warn("the files are not in memory, so the values may reach a disk", "directory", cfg.Directory.Path())
		}
	}
	status, err := launch.Run(ctx, cfg, f)
	return ending(e, status, err)
}

// ending is the command's error for a program that ended, or could not be started.
func ending(e *env, status int, err error) error {
	switch {
	case err != nil && status <= 1:
		return err
	case err != nil:
		fmt.Fprintf(e.err, "holdfast exec: %v\n", err)
	case status == 0:
		return nil
	}
	return exitStatus(status)
}

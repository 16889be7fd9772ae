package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/remote"
)

// Config says what is run, and how it follows changes.
type Config struct {
	Args        []string // the program and its arguments
	Environment []string // as os.Environ has it; values come in addition
	In          io.Reader
	Out, Err    io.Writer
	Directory   *Directory    // nil: values go into the environment
	Terminal    bool          // an interrupt comes from a terminal, which sends it to the program as well
	OnChange    OnChange      // what the program gets to know of a change
	Retry       bool          // start the program again when it fails
	Refresh     time.Duration // how often to look for changes
	Stop        time.Duration // how long the program may take to end for a restart
	Start       time.Duration // how long to try to get the first values
	Log         *slog.Logger
}

// OnChange is what happens to the program when values change. The zero value restarts it.
type OnChange struct {
	Nothing bool
	Signal  os.Signal // nil: a restart
}

// ParseOnChange reads restart, none, or signal:NAME.
func ParseOnChange(text string) (OnChange, error) {
	switch name, isSignal := strings.CutPrefix(text, "signal:"); {
	case text == "restart":
		return OnChange{}, nil
	case text == "none":
		return OnChange{Nothing: true}, nil
	case isSignal:
		if s := signals[strings.TrimPrefix(strings.ToUpper(name), "SIG")]; s != nil {
			return OnChange{Signal: s}, nil
		}
		return OnChange{}, fmt.Errorf("%s is no signal that a program can be sent here", name)
	}
	return OnChange{}, errors.New("must be restart, none, or a signal such as signal:HUP")
}

// DirectoryVariable tells the program where its files are.
const DirectoryVariable = "HOLDFAST_SECRETS_DIR"

const (
	steady   = time.Minute // a program that ran for so long may be started again at once
	firstGap = time.Second // between starts of one that did not, doubled each time
	lastGap  = time.Minute
)

// supervisor is the one goroutine that has the program.
type supervisor struct {
	*Config
	values *Values // that the program gets, with the next start at the latest
	worked *Values // that it was started with last

	program *exec.Cmd // nil: none runs
	exited  chan error
	ran     clock.Stopwatch
	gap     time.Duration // before the next start, or the next restart

	restarting bool             // it was told to end, to be started again
	ending     bool             // it was told to end by a signal from outside
	due        <-chan time.Time // when it is started, or told to end
	kill       <-chan time.Time // when it is ended
	late       <-chan time.Time // when the files are written again that could not be
}

// Run gets the values, runs the program until it ends, and returns its exit status. ctx is for getting the first values, and its end is not the program's: that comes by a
// signal.
func Run(ctx context.Context, cfg Config, f *Fetcher) (status int, err error) {
	if cfg.Directory != nil {
		defer func() { err = errors.Join(err, cfg.Directory.Close()) }()
	}
	path, err := exec.LookPath(cfg.Args[0])
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return 127, err
	case err != nil:
		return 126, err
	}
	cfg.Args = slices.Concat([]string{path}, cfg.Args[1:])
	values, err := first(ctx, &cfg, f)
	if err != nil {
		return 1, err
	}
	if cfg.Directory != nil {
		if err := cfg.Directory.Write(values); err != nil {
			return 1, err
		}
	}
	incoming := make(chan os.Signal, 16)
	for _, s := range signals {
		signal.Notify(incoming, s)
	}
	defer signal.Stop(incoming)
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	changes := make(chan *Values)
	go watch(watching, &cfg, f, values, changes)
	s := &supervisor{Config: &cfg, values: values, exited: make(chan error, 1)}
	return s.run(incoming, changes)
}

// patience is how long getting all values once may take.
const patience = time.Minute

// first gets the first values. It waits for a cloud that does not answer yet, and for nothing else.
func first(ctx context.Context, cfg *Config, f *Fetcher) (*Values, error) {
	since := clock.Start()
	for gap := firstGap / 4; ; gap = min(2*gap, 5*time.Second) {
		attempt, cancel := context.WithTimeout(ctx, patience)
		values, err := f.Fetch(attempt)
		cancel()
		if err == nil {
			return values, nil
		}
		if left := cfg.Start - since.Elapsed(); !passing(err) || left <= 0 || clock.Pause(ctx, min(gap, left)) != nil {
			return nil, err
		}
	}
}

func passing(err error) bool {
	f := remote.Judge(err)
	return f.Passing && f.Status != 0
}

// watch sends values when they change, until ctx ends.
func watch(ctx context.Context, cfg *Config, f *Fetcher, known *Values, changes chan<- *Values) {
	failing := false
	for {
		// Programs that were started together do not all ask together for ever.
		if clock.Pause(ctx, cfg.Refresh*9/10+rand.N(cfg.Refresh/5+1)) != nil {
			return
		}
		attempt, cancel := context.WithTimeout(ctx, patience)
		values, err := f.Fetch(attempt)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !failing {
				cfg.Log.Warn("the values could not be fetched again: goes on with those last known", "cause", err.Error())
			}
			failing = true
			continue
		case failing:
			cfg.Log.Info("the values can be fetched again")
			failing = false
		}
		if changed := known.Changed(values); len(changed) > 0 {
			cfg.Log.Info("changed", "what", strings.Join(changed, ", "), "program", map[bool]string{true: "gets the same values", false: "gets other values"}[known.Same(values)])
		}
		same := known.Same(values)
		known = values
		if same {
			continue
		}
		select {
		case changes <- values:
		case <-ctx.Done():
			return
		}
	}
}

func (s *supervisor) run(incoming <-chan os.Signal, changes <-chan *Values) (int, error) {
	if status, err := s.start(); err != nil {
		return status, err
	}
	for {
		select {
		case sig := <-incoming:
			if s.program == nil && stops(sig) {
				return 128 + number(sig), nil
			}
			s.pass(sig)
		case v := <-changes:
			s.take(v)
		case <-s.late:
			s.take(s.values)
		case <-s.due:
			s.due = nil
			if s.program == nil {
				if status, err := s.start(); err != nil {
					return status, err
				}
				continue
			}
			s.restarting, s.ending = true, false
			s.kill = clock.After(s.Stop)
			s.send(terminate)
		case <-s.kill:
			s.kill = nil
			s.Log.Warn("the program did not end in time, and was killed", "after", s.Stop.String())
			s.send(os.Kill)
		case err := <-s.exited:
			status, again := s.over(err)
			if !again {
				return status, nil
			}
		}
	}
}

// stops are the signals that end a program which does nothing about them, and that mean an end.
func stops(s os.Signal) bool {
	return s == signals["TERM"] || s == signals["INT"] || s == signals["QUIT"] || s == signals["HUP"]
}

// pass gives the program a signal that came from outside.
func (s *supervisor) pass(sig os.Signal) {
	if sig == signals["TERM"] || sig == signals["INT"] || sig == signals["QUIT"] {
		s.ending = true
	}
	if s.Terminal && (sig == signals["INT"] || sig == signals["QUIT"] || sig == signals["WINCH"] || sig == signals["CONT"]) {
		return // the terminal sends these to all of its foreground, and twice is once too often
	}
	s.send(sig)
}

func (s *supervisor) send(sig os.Signal) {
	if s.program == nil {
		return
	}
	if err := s.program.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.Log.Error("the program could not be sent a signal", "signal", sig.String(), "cause", err.Error())
	}
}

// take has the program get new values, now or, where the files can not be written, later: who watches tells of a change once.
func (s *supervisor) take(v *Values) {
	s.late = nil
	if err := s.changed(v); err != nil {
		s.Log.Error("the program does not get the new values yet", "cause", err.Error())
		s.late = clock.After(s.Refresh)
	}
}

func (s *supervisor) changed(v *Values) error {
	s.values = v
	if s.Directory != nil {
		if err := s.Directory.Write(v); err != nil {
			return err
		}
	}
	switch {
	case s.OnChange.Nothing || s.program == nil || s.restarting:
	case s.OnChange.Signal != nil:
		s.send(s.OnChange.Signal)
	case s.due == nil:
		// A secret that changes all the time must not keep its program from working: the old values serve until then.
		s.due = clock.After(s.next())
	}
	return nil
}

// next is how long to wait for the next start.
func (s *supervisor) next() time.Duration {
	if s.ran.Elapsed() >= steady {
		s.gap = 0
		return 0
	}
	wait := s.gap
	s.gap = min(max(firstGap, 2*s.gap), lastGap)
	return wait
}

// start runs the program with the values of now, or, where they are more than it can be given, with those before.
func (s *supervisor) start() (int, error) {
	err := s.startWith(s.values)
	if err != nil && s.worked != nil && s.worked != s.values {
		s.Log.Error("the program cannot be started with the new values: goes on with those before", "cause", err.Error())
		s.values = s.worked
		err = s.startWith(s.values)
	}
	if err != nil {
		return 126, err
	}
	s.worked = s.values
	return 0, nil
}

func (s *supervisor) startWith(v *Values) error {
	p := exec.Command(s.Args[0], s.Args[1:]...)
	p.Stdin, p.Stdout, p.Stderr = s.In, s.Out, s.Err
	p.WaitDelay = time.Second // where In or Out are no files: what the program left running may hold them for ever
	p.Env = slices.Clone(s.Environment)
	if s.Directory != nil {
		p.Env = append(p.Env, DirectoryVariable+"="+s.Directory.Path())
	} else {
		for _, name := range v.Names() {
			p.Env = append(p.Env, name+"="+v.byName[name])
		}
	}
	if err := p.Start(); err != nil {
		return err
	}
	s.program, s.ran = p, clock.Start()
	s.restarting, s.ending, s.kill = false, false, nil
	go func() { s.exited <- p.Wait() }()
	return nil
}

// over is called when the program has ended, and tells whether it is started again.
func (s *supervisor) over(err error) (status int, again bool) {
	status = ended(s.program.ProcessState)
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		s.Log.Warn("the program's input or output broke off", "cause", err.Error())
	}
	asked := s.restarting && !s.ending
	s.program, s.restarting, s.kill = nil, false, nil
	switch {
	case asked:
		s.Log.Info("the program starts again, with the new values")
		s.due = clock.After(0)
		return status, true
	case s.Retry && status != 0 && !s.ending:
		wait := max(firstGap, s.next())
		s.Log.Warn("the program failed, and starts again", "status", status, "in", wait.String())
		s.due = clock.After(wait)
		return status, true
	}
	return status, false
}

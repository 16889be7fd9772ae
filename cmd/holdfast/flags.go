package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// flags is a flag set whose flags can also be given in the environment.
type flags struct {
	*flag.FlagSet
	env *env
}

func newFlags(e *env, name, arguments string) *flags {
	f := &flags{flag.NewFlagSet("holdfast "+name, flag.ContinueOnError), e}
	f.SetOutput(e.out)
	f.Usage = func() {
		fmt.Fprintf(e.out, "Usage: holdfast %s\n\n", strings.TrimSpace(name+" "+arguments))
		f.VisitAll(func(fl *flag.Flag) {
			kind, help := flag.UnquoteUsage(fl)
			fmt.Fprintf(e.out, "  %s\n        %s", strings.TrimSpace("--"+fl.Name+" "+kind), help)
			if fl.DefValue != "" && fl.DefValue != "false" {
				fmt.Fprintf(e.out, " (default %s)", fl.DefValue)
			}
			fmt.Fprintf(e.out, " [%s]\n", variable(fl.Name))
		})
	}
	return f
}

// variable is the environment variable of a flag.
func variable(name string) string {
	return "HOLDFAST_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// parse reads the environment, and then args, which win.
func (f *flags) parse(args []string) error {
	var bad error
	f.VisitAll(func(fl *flag.Flag) {
		if v := f.env.getenv(variable(fl.Name)); v != "" {
			if err := fl.Value.Set(v); err != nil && bad == nil {
				bad = fmt.Errorf("%w: %s=%q: %v", errUsage, variable(fl.Name), v, err)
			}
		}
	})
	if bad != nil {
		return bad
	}
	// The package's own message would come twice.
	out := f.Output()
	quiet := new(strings.Builder)
	f.SetOutput(quiet)
	usage := f.Usage
	f.Usage = func() {}
	err := f.Parse(args)
	f.SetOutput(out)
	f.Usage = usage
	if errors.Is(err, flag.ErrHelp) {
		f.Usage()
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %v; -h tells the flags", errUsage, err)
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%w: unexpected argument %q", errUsage, f.Arg(0))
	}
	return nil
}

// operand takes the one argument that is no flag, which may stand before or behind the flags; "" if there is none.
func operand(args []string) (string, []string) {
	switch last := len(args) - 1; {
	case last >= 0 && isFile(args[0]):
		return args[0], args[1:]
	case last >= 0 && isFile(args[last]):
		return args[last], args[:last]
	}
	return "", args
}

// dataFlag adds the flag that every command has.
func (f *flags) dataFlag() *string {
	return f.String("data", defaultData(f.env), "`directory` that holds everything")
}

// defaultData is a directory of the user's own: XDG's place for state.
func defaultData(e *env) string {
	if dir := e.getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "holdfast")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "holdfast")
	}
	return "holdfast-data"
}

//go:build !unix

package launch

import "os"

// signals are those that are passed on to the program. It gets an interruption of the console itself.
var signals = map[string]os.Signal{"INT": os.Interrupt}

var terminate = os.Kill // there is nothing gentler

func ended(s *os.ProcessState) int { return s.ExitCode() }

func number(os.Signal) int { return 1 }

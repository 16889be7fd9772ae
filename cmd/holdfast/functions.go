package main

import (
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/runner"
)

// functions are the flags that say how Lambda functions run.
type functions struct {
	mode      string
	reach     []runner.Reach
	instances int
}

func (f *functions) register(all *flags) {
	all.StringVar(&f.mode, "functions", "on", "`whether` Lambda functions run: on, where this machine can isolate them, or off")
	all.Func("function-network", "`NETWORK:PORT` that Lambda functions may connect to beside the cloud, such as 10.0.0.0/8:5432 or db.example.com:5432; may be given several times, or with commas", f.add)
	all.IntVar(&f.instances, "function-instances", 64, "`number` of Lambda functions that run at once, of all accounts")
}

func (f *functions) add(text string) error {
	for one := range strings.SplitSeq(text, ",") {
		r, err := runner.ParseReach(strings.TrimSpace(one))
		if err != nil {
			return err
		}
		f.reach = append(f.reach, r)
	}
	return nil
}

func (f *functions) config() (cloud.Functions, error) {
	if f.mode != "on" && f.mode != "off" {
		return cloud.Functions{}, fmt.Errorf("%w: --functions %q is none of on, off", errUsage, f.mode)
	}
	if f.instances < 1 {
		return cloud.Functions{}, fmt.Errorf("%w: --function-instances is less than 1", errUsage)
	}
	return cloud.Functions{Off: f.mode == "off", Reach: f.reach, Instances: f.instances}, nil
}

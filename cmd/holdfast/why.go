package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/holdfast-cloud/holdfast/cloud"
)

type whyParams struct {
	ID   string
	JSON bool
}

func why(ctx context.Context, e *env, args []string) error {
	f, data, sealSpec := commandFlags(e, "why", "EVENT-OR-REQUEST-ID [flags]")
	var p whyParams
	f.BoolVar(&p.JSON, "json", false, "print JSON, one object a call")
	p.ID, args = operand(args)
	if err := f.parse(args); err != nil {
		return err
	}
	if p.ID == "" {
		return fmt.Errorf("%w: want the ID of an event or of a request", errUsage)
	}
	return perform(ctx, *data, *sealSpec, "why", p, e.out)
}

func explainCalls(ctx context.Context, c *cloud.Cloud, in io.Reader, out io.Writer) error {
	var p whyParams
	if err := readParams(in, &p); err != nil {
		return err
	}
	calls, damage := c.Why(ctx, p.ID)
	for i, x := range calls {
		if p.JSON {
			b, err := json.Marshal(x)
			if err != nil {
				return err
			}
			if _, err := out.Write(append(b, '\n')); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			if _, err := io.WriteString(out, "\n----\n\n"); err != nil {
				return err
			}
		}
		if err := x.WriteText(out); err != nil {
			return err
		}
	}
	return damage
}

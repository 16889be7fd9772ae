package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/engine/eventpattern"
	bus "github.com/holdfast-cloud/holdfast/service/events"
)

const tailTask = "events-tail"

type tailParams struct{ Account, Region, Bus, Pattern string }

// tail prints events as they come to buses. Only a running server has events.
func tail(ctx context.Context, e *env, args []string) error {
	f := newFlags(e, "events tail", "[flags]")
	data := f.dataFlag()
	var p tailParams
	f.StringVar(&p.Pattern, "pattern", "", "only events that match this `pattern`, e.g. '{\"source\":[\"aws.kms\"]}'")
	f.StringVar(&p.Bus, "bus", "", "only events on the bus of this `name`, e.g. default")
	f.StringVar(&p.Account, "account", "", "only events on buses of this `account`")
	f.StringVar(&p.Region, "region", "", "only events on buses of this `region`")
	if err := f.parse(args); err != nil {
		return err
	}
	if _, err := p.pattern(); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	err = ask(ctx, *data, tailTask, bytes.NewReader(body), e.out)
	if errors.Is(err, errNoServer) {
		return fmt.Errorf("no server runs over %s: events come only while one does", *data)
	}
	return unlessOver(ctx, err)
}

func (p *tailParams) pattern() (*eventpattern.Pattern, error) {
	if p.Pattern == "" {
		return nil, nil
	}
	return eventpattern.Compile(p.Pattern)
}

// tailEvents writes an event a line, each at once. A follower that is too slow is told how many it missed.
func tailEvents(ctx context.Context, c *cloud.Cloud, in io.Reader, out io.Writer) error {
	var p tailParams
	if err := readParams(in, &p); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, in) // when all has come, the server waits for nothing more
	pattern, err := p.pattern()
	if err != nil {
		return err
	}
	flush := func() {
		if f, ok := out.(http.Flusher); ok {
			f.Flush()
		}
	}
	err = c.FollowEvents(ctx, bus.Following{Account: p.Account, Region: p.Region, Bus: p.Bus, Pattern: pattern}, flush, func(e bus.Followed) error {
		defer flush()
		if e.Missed > 0 {
			if _, err := fmt.Fprintf(out, "{\"missed\":%d}\n", e.Missed); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintln(out, strings.TrimSpace(string(e.Event)))
		return err
	})
	if errors.Is(err, bus.ErrOver) {
		return nil
	}
	return err
}

package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/cloud"
)

// moment is a time, or how long ago it is by the clock of the cloud.
type moment struct {
	Time time.Time
	Ago  time.Duration
}

// Set implements flag.Value.
func (m *moment) Set(s string) (err error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		m.Ago = time.Duration(n) * 24 * time.Hour
		return err
	}
	if d, derr := time.ParseDuration(s); derr == nil {
		if d <= 0 {
			return fmt.Errorf("%s is not in the past", s)
		}
		m.Ago = d
		return nil
	}
	m.Time, err = time.Parse(time.RFC3339, s)
	return err
}

func (m *moment) String() string { return "" }

// at is when the moment is, seen from now.
func (m *moment) at(now time.Time) time.Time {
	if m.Ago > 0 {
		return now.Add(-m.Ago)
	}
	return m.Time
}

type generateParams struct {
	Principal, Account string
	Since, Until       moment
	Denied             bool
}

func policyCommand(ctx context.Context, e *env, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: want generate", errUsage)
	}
	switch args[0] {
	case "-h", "--help", "help":
		_, err := fmt.Fprintln(e.out, "Usage: holdfast policy generate --principal ARN --since WHEN [flags]\n\nholdfast policy generate -h tells the flags.")
		return err
	case "generate":
		f, data, sealSpec := commandFlags(e, "policy generate", "--principal ARN --since WHEN [flags]")
		var p generateParams
		f.StringVar(&p.Principal, "principal", "", "`ARN` of the user or the role whose calls the policy is to allow; of a role count all sessions")
		f.Var(&p.Since, "since", "`when` the calls begin that count: a duration back from now (90m, 24h, 30d), or a time such as 2027-01-01T00:00:00Z")
		f.Var(&p.Until, "until", "`when` they end; as for since, and now if it is not given")
		f.StringVar(&p.Account, "account", "", "only calls that are on record for this `account`")
		f.BoolVar(&p.Denied, "include-denied", false, "allow also what was denied")
		if err := f.parse(args[1:]); err != nil {
			return err
		}
		if p.Principal == "" || p.Since == (moment{}) {
			return fmt.Errorf("%w: --principal and --since are needed", errUsage)
		}
		return perform(ctx, *data, *sealSpec, "policy-generate", p, e.out)
	}
	return fmt.Errorf("%w: %q is not generate", errUsage, args[0])
}

func generatePolicy(ctx context.Context, c *cloud.Cloud, in io.Reader, out io.Writer) error {
	var p generateParams
	if err := readParams(in, &p); err != nil {
		return err
	}
	now := c.Now()
	used := cloud.Used{Principal: p.Principal, Account: p.Account, Since: p.Since.at(now), Until: p.Until.at(now), Denied: p.Denied}
	policies, damage := c.GeneratePolicy(ctx, used)
	for _, doc := range policies {
		if _, err := io.WriteString(out, doc); err != nil {
			return err
		}
	}
	if damage == nil && len(policies) == 0 {
		return fmt.Errorf("no call of %s that a policy could allow is on record since %s", p.Principal, used.Since.Format(time.RFC3339))
	}
	return damage
}

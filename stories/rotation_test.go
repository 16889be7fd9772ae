package stories_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/database"
	"github.com/holdfast-cloud/holdfast/internal/dbtest"
)

// grace is how long who has fetched a password has to log in before it may change.
const grace = 300 * time.Millisecond

// rotated is a secret whose password is changed in a real database.
type rotated struct {
	name        string
	server      *dbtest.Server
	alternating bool
}

func rotatedSecrets(t *testing.T) []rotated {
	t.Helper()
	postgres, mariadb := dbtest.PostgreSQL(t), dbtest.MariaDB(t)
	return []rotated{
		{"postgres/one", postgres, false}, {"postgres/two", postgres, true},
		{"mariadb/one", mariadb, false}, {"mariadb/two", mariadb, true},
		{"redis/one", dbtest.Redis(t, "aclfile users.acl"), false},
	}
}

// rotation is a client of Secrets Manager and of the databases.
type rotation struct {
	t       *testing.T
	secrets *secretsmanager.Client
	logins  atomic.Int64
	late    atomic.Int64 // logins that came so long after the password was fetched that it had changed
}

// newRotation is a client as programs have it: it tries again what the SDK tries again.
func newRotation(t *testing.T, cfg aws.Config) *rotation {
	cfg.Retryer = func() aws.Retryer { return retry.NewStandard() }
	return &rotation{t: t, secrets: secretsmanager.NewFromConfig(cfg)}
}

// create makes a database user and the secret with its password, and that of the superuser where two users alternate.
func (r *rotation) create(s rotated) {
	r.t.Helper()
	user := map[bool]string{false: "app_one", true: "app_two"}[s.alternating]
	switch s.server.Engine {
	case "postgres":
		s.server.Exec(r.t, "DROP ROLE IF EXISTS "+user+"_clone", "DROP ROLE IF EXISTS "+user, "CREATE ROLE "+user+" LOGIN PASSWORD 'first'")
	case "mariadb":
		s.server.Exec(r.t, "DROP USER IF EXISTS "+user+"_clone@'%'", "CREATE OR REPLACE USER "+user+"@'%' IDENTIFIED BY 'first'")
	default:
		s.server.Exec(r.t, "ACL SETUSER "+user+" reset on >first ~* +@all")
	}
	c := &database.Credentials{Engine: database.EngineOf(s.server.Engine), Host: s.server.Host, Port: s.server.Port, Username: user, Password: "first"}
	if s.alternating {
		master := *c
		master.Username, master.Password = dbtest.Superuser, dbtest.Password
		out, err := r.secrets.CreateSecret(r.t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(s.name + "/super"), SecretString: aws.String(master.JSON())})
		if err != nil {
			r.t.Fatal(err)
		}
		c.MasterARN = *out.ARN
	}
	if _, err := r.secrets.CreateSecret(r.t.Context(), &secretsmanager.CreateSecretInput{Name: &s.name, SecretString: aws.String(c.JSON())}); err != nil {
		r.t.Fatal(err)
	}
}

// fetch is the secret's value, with its version.
func (r *rotation) fetch(ctx context.Context, name string) (*database.Credentials, string, error) {
	out, err := r.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		return nil, "", err
	}
	c, err := database.Parse(*out.SecretString)
	return c, *out.VersionId, err
}

// use fetches the password and logs in, over and over until the context ends, as a program that knows nothing of rotations.
func (r *rotation) use(ctx context.Context, s rotated) {
	for ctx.Err() == nil {
		c, version, err := r.fetch(ctx, s.name)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.t.Errorf("fetching %s: %v", s.name, err)
			return
		}
		fetched := time.Now()
		err = s.server.Login(ctx, c.Username, c.Password)
		switch took := time.Since(fetched); {
		case err == nil:
			r.logins.Add(1)
		case ctx.Err() != nil:
			return
		case errors.Is(err, dbtest.ErrRefused) && took > grace: // this machine is slow
			r.late.Add(1)
		default:
			r.t.Errorf("%s: logging in as %s with version %s, %s after it was fetched: %v", s.name, c.Username, version, took, err)
			return
		}
	}
}

// state is a secret's, as far as rotation goes.
func (r *rotation) state(name string) (current string, pending bool, next time.Time) {
	r.t.Helper()
	out, err := r.secrets.DescribeSecret(r.t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
	if err != nil {
		r.t.Fatal(err)
	}
	labels := map[string]string{}
	for version, of := range out.VersionIdsToStages {
		for _, label := range of {
			labels[label] = version
		}
	}
	if out.NextRotationDate != nil {
		next = *out.NextRotationDate
	}
	return labels["AWSCURRENT"], labels["AWSPENDING"] != "" && labels["AWSPENDING"] != labels["AWSCURRENT"], next
}

// settle waits until a secret has another version than it had, and none that is pending.
func (r *rotation) settle(name, before string) (current string) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		current, pending, _ := r.state(name)
		if current != before && !pending {
			return current
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s is not rotated after a minute: AWSCURRENT is %s, pending %v", name, current, pending)
		}
	}
}

// Passwords change every thirty days, over a year, in real databases: one user's, and those of two users in turns. Programs that fetch the secret and log in all the time are never refused.
func TestPasswordsRotateForAYear(t *testing.T) {
	c := cloudtest.Start(t)
	r := newRotation(t, c.Config())
	secrets := rotatedSecrets(t)
	version := map[string]string{}
	used := map[string][]database.Credentials{}
	remember := func(name string) {
		t.Helper()
		now, _, err := r.fetch(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		used[name] = append(used[name], *now)
	}
	for _, s := range secrets {
		r.create(s)
		remember(s.name)
		version[s.name], _, _ = r.state(s.name)
	}

	ctx, stop := context.WithCancel(t.Context())
	var programs sync.WaitGroup
	defer programs.Wait()
	defer stop()
	for _, s := range secrets {
		for range 2 {
			programs.Go(func() { r.use(ctx, s) })
		}
	}
	for _, s := range secrets {
		in := &secretsmanager.RotateSecretInput{SecretId: &s.name, RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)}}
		if _, err := r.secrets.RotateSecret(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	rotations := 0
	for end := c.Clock.Now().Add(365 * 24 * time.Hour); ; rotations++ {
		latest := c.Clock.Now()
		for _, s := range secrets {
			version[s.name] = r.settle(s.name, version[s.name])
			remember(s.name)
			if _, _, next := r.state(s.name); next.After(latest) {
				latest = next
			}
		}
		if latest.After(end) {
			break
		}
		c.Advance(latest.Sub(c.Clock.Now()) + time.Minute)
	}
	stop()
	programs.Wait()

	t.Logf("%d rotations of each secret, %d logins, %d of them too late", rotations+1, r.logins.Load(), r.late.Load())
	if rotations < 11 {
		t.Errorf("%d rotations in a year, want one every thirty days", rotations+1)
	}
	c.Advance(24 * time.Hour) // what overlaps is over
	for _, s := range secrets {
		all := used[s.name]
		users := map[string]int{}
		for i, one := range all {
			users[one.Username]++
			err := s.server.Login(t.Context(), one.Username, one.Password)
			still := i == len(all)-1 || s.alternating && i == len(all)-2
			if still && err != nil || !still && !errors.Is(err, dbtest.ErrRefused) {
				t.Errorf("%s: logging in with password %d of %d: %v", s.name, i+1, len(all), err)
			}
		}
		if want := map[bool]int{false: 1, true: 2}[s.alternating]; len(users) != want {
			t.Errorf("%s: users %v, want %d", s.name, users, want)
		}
	}
}

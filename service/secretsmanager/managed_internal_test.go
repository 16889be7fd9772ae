package secretsmanager

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/database"
)

// Which secrets are rotated without a function of the customer's, how, and what is said of others.
func TestWhatIsManaged(t *testing.T) {
	const (
		none = "InvalidRequestException: No Lambda rotation function ARN is associated with this secret."
		lead = "arn:aws:lambda:us-east-1:111122223333:function:"
	)
	credentials := func(engine, more string) string {
		return `{"engine":"` + engine + `","host":"db.example.com","username":"app","password":"first"` + more + `}`
	}
	w := newWorkshop(t)
	w.reachable = missingFunction
	master := w.super()
	withMaster := credentials("postgres", `,"masterarn":"`+master+`"`)
	for i, x := range []struct {
		value, function string
		want            string // "" is one user, "alternating" two
	}{
		{"no credentials", "", none},
		{`{"username":"app","password":"first"}`, "", none},
		{credentials("oracle", ""), "", none},
		{credentials("postgres", ""), "", ""},
		{withMaster, "", "alternating"},
		{withMaster, lead + "SecretsManagerRDSPostgreSQLRotationSingleUser", ""},
		{withMaster, lead + "SecretsManagerRDSPostgreSQLRotationMultiUser:live", "alternating"},
		{credentials("mysql", ""), "MySQLSingleUser", ""},
		{credentials("mariadb", ""), lead + "SecretsManagerRDSMySQLRotationSingleUser", ""},
		{credentials("redis", ""), lead + "SecretsManagerElasticacheUserRotation", ""},
		{credentials("postgres", ""), lead + "SecretsManagerRDSPostgreSQLRotationMultiUser", "superuser secret in its member masterarn"},
		{credentials("postgres", ""), lead + "SecretsManagerRDSMySQLRotationSingleUser", "its engine is postgres, and the rotation function is for mysql"},
		{"no credentials", lead + "SecretsManagerRDSMySQLRotationSingleUser", "not a JSON object"},
		{credentials("postgres", ""), lead + "SecretsManagerRDSOracleRotationSingleUser", notInvokedMessage},
		{credentials("postgres", `,"masterarn":"arn:aws:secretsmanager:us-east-1:444455556666:secret:super-abcdef"`), "", "of the same account and Region"},
		{credentials("postgres", `,"masterarn":"arn:aws:secretsmanager:us-east-1:111122223333:secret:none-abcdef"`), "", "ResourceNotFoundException"},
	} {
		name := fmt.Sprintf("s%d", i)
		w.create(name, x.value)
		in := object{"SecretId": name, "ClientRequestToken": token(), "RotateImmediately": false}
		if x.function != "" {
			in["RotationLambdaARN"] = x.function
		}
		_, err := w.do("RotateSecret", in)
		if err != nil {
			if x.want == "" || !strings.Contains(err.Error(), x.want) {
				t.Errorf("%s by %s: %v, want %s", x.value, x.function, err, x.want)
			}
			continue
		}
		if r := w.record(name).Rotation; r.Managed == nil || r.Managed.Alternating != (x.want == "alternating") || r.Lambda != x.function {
			t.Errorf("%s by %s: %+v, want %s", x.value, x.function, r.Managed, x.want)
		}
	}
}

// A secret cannot lead the superuser's password to another server, or be given another superuser later.
func TestMasterIsPinned(t *testing.T) {
	w := newWorkshop(t)
	master := w.super()
	w.app("db", `,"masterarn":"`+master+`"`)
	w.rotate("db", nil)
	w.advance(0)
	w.db.events = nil
	w.must("PutSecretValue", object{
		"SecretId": "db", "ClientRequestToken": token(), "SecretString": `{"engine":"postgres","host":"evil.example.com","username":"app","password":"x","masterarn":"` + master + `"}`,
	})
	w.rotate("db", object{"RotateImmediately": true})
	w.advance(0)
	if events := w.events(); !strings.Contains(strings.Join(events, " "), errMismatch.Error()) {
		t.Errorf("events %v", events)
	}
	if len(w.db.events) != 0 {
		t.Errorf("the database was asked: %v", w.db.events)
	}
}

// Whoever reads the secret and logs in with it is let in, whenever that is.
func TestNoLoginIsRefused(t *testing.T) {
	for name, prepare := range strategiesUnderTest {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkshop(t)
			w.grace = defaultGrace
			w.restart()
			prepare(w)
			var over atomic.Bool
			var logins atomic.Int64
			var clients sync.WaitGroup
			for range 4 {
				clients.Go(func() {
					for !over.Load() {
						began := time.Now()
						out, err := w.do("GetSecretValue", object{"SecretId": "db"})
						if err != nil {
							t.Errorf("GetSecretValue: %v", err)
							return
						}
						c, err := database.Parse(out["SecretString"].(string))
						if err != nil || !w.db.takes(c) && time.Since(began) < defaultGrace { // later it may be, on a busy machine
							t.Errorf("a login was refused: %v", err)
							return
						}
						logins.Add(1)
					}
				})
			}
			for range 4 {
				w.rotate("db", nil)
				w.advance(0)
				w.advance(overlapTime)
			}
			over.Store(true)
			clients.Wait()
			if logins.Load() == 0 || len(w.events()) != 8 {
				t.Errorf("%d logins, events %v", logins.Load(), w.events())
			}
		})
	}
}

// While nobody knows which password the database has, the value is not handed out, and other versions are. When the database answers again, it is.
func TestReadersWait(t *testing.T) {
	w := newWorkshop(t)
	w.app("db", "")
	down := false
	w.db.before = func(_ context.Context, what string) error {
		if down {
			return database.ErrUnreachable
		}
		return nil
	}
	w.db.after = func(_ context.Context, what string) error {
		if what == "commit" {
			down = true // it has changed the password, and the answer is lost
			return database.ErrUnreachable
		}
		return nil
	}
	first := w.record("db").Labels[currentLabel]
	version := w.rotate("db", nil)
	w.advance(0)
	if _, err := w.do("GetSecretValue", object{"SecretId": "db"}); err == nil || !strings.HasPrefix(err.Error(), "InternalServiceError") {
		t.Errorf("GetSecretValue: %v", err)
	}
	_ = first
	w.db.after = nil
	down = false
	w.advance(haste[0])
	w.done("when the database answers", version)
}

// A password that somebody has changed in the database is found out.
func TestChangedBehindOurBack(t *testing.T) {
	t.Run("ToThePending", func(t *testing.T) {
		w := newWorkshop(t)
		w.app("db", "")
		w.db.before = func(_ context.Context, what string) error {
			if what == "prepare" {
				return database.ErrUnreachable
			}
			return nil
		}
		version := w.rotate("db", nil)
		w.advance(0)
		pending, err := database.Parse(w.must("GetSecretValue", object{"SecretId": "db", "VersionStage": pendingLabel})["SecretString"].(string))
		if err != nil {
			t.Fatal(err)
		}
		w.db.before, w.db.users["app"] = nil, []string{pending.Password}
		w.advance(retries[0])
		w.done("it is the new one", version)
	})
	t.Run("ToThePrevious", func(t *testing.T) {
		w := newWorkshop(t)
		w.app("db", "")
		w.rotate("db", nil)
		w.advance(0)
		w.db.users["app"] = []string{"first"}
		version := w.rotate("db", nil)
		w.advance(0)
		w.done("it was the one before", version)
	})
	t.Run("Alternating", func(t *testing.T) {
		w := newWorkshop(t)
		w.app("db", `,"masterarn":"`+w.super()+`"`)
		w.db.users["app"] = []string{"another"}
		w.rotate("db", nil)
		w.advance(0)
		if d := cmp.Diff([]string{"login app"}, w.db.events); d != "" {
			t.Errorf("the superuser was asked for a user whose password the secret does not know (-want +got):\n%s", d)
		}
	})
	t.Run("PendingOfAnother", func(t *testing.T) {
		w := newWorkshop(t)
		w.app("db", `,"masterarn":"`+w.super()+`"`)
		w.db.before = func(context.Context, string) error { return database.ErrUnreachable }
		version := w.rotate("db", nil)
		w.advance(0)
		w.must("UpdateSecretVersionStage", object{"SecretId": "db", "VersionStage": pendingLabel, "RemoveFromVersionId": version})
		w.must("PutSecretValue", object{
			"SecretId": "db", "ClientRequestToken": token(), "VersionStages": []string{pendingLabel},
			"SecretString": `{"engine":"postgres","host":"db.example.com","port":5432,"username":"root","password":"mine"}`,
		})
		w.db.before = nil
		w.must("UpdateSecret", object{"SecretId": "db", "Description": "wait"})
		w.advance(retries[0])
		if !cmp.Equal(w.db.users["root"], []string{"super"}) {
			t.Errorf("the database has %v", w.db.users)
		}
	})
	t.Run("LockedOut", func(t *testing.T) {
		w := newWorkshop(t)
		w.app("db", "")
		w.db.users["app"] = []string{"another"}
		version := w.rotate("db", nil)
		w.advance(0)
		want := []string{"RotationStarted", "RotationFailed(error during setSecret step: the database refuses all values of the secret)"}
		if d := cmp.Diff(want, w.events()); d != "" {
			t.Errorf("events (-want +got):\n%s", d)
		}
		if w.record("db").switching() || w.record("db").hanging() != version {
			t.Errorf("%+v", w.record("db").Rotation)
		}
		w.db.users["app"] = []string{"first"}
		w.advance(retries[0])
		w.done("when AWSCURRENT is right again", version)
	})
}

// What a database or a store says, that is not known to keep passwords to itself, is told to nobody.
func TestWhatIsTold(t *testing.T) {
	for err, want := range map[error]string{
		during(setStep, fmt.Errorf("%w: code 42501", database.ErrDenied)): "error during setSecret step: the database user has no right to do this: code 42501",
		errors.New("password first"):                                      "An internal error occurred.",
		notFound():                                                        "Secrets Manager can't find the specified secret.",
		failure("in these words"):                                         "in these words",
	} {
		if got := told(err); got != want {
			t.Errorf("%v is told as %q, want %q", err, got, want)
		}
	}
}

// A database that refuses to change the password, whatever its reason is, does not keep readers from the one that it has.
func TestDatabaseSaysNo(t *testing.T) {
	w := newWorkshop(t)
	w.app("db", "")
	w.db.before = func(_ context.Context, what string) error {
		if what == "commit" {
			return errors.New("the server is read-only")
		}
		return nil
	}
	version := w.rotate("db", nil)
	w.advance(0)
	if !w.logsIn("db") || w.record("db").switching() {
		t.Errorf("%+v", w.record("db").Rotation.Run)
	}
	w.db.before = nil
	w.advance(time.Hour)
	w.done("in the end", version)
}

// Whoever takes AWSPENDING away while nobody knows which password the database has does not lose the one that it may have taken.
func TestLabelTakenWhileSwitching(t *testing.T) {
	w := newWorkshop(t)
	w.app("db", "")
	down := false
	w.db.before = func(context.Context, string) error {
		if down {
			return database.ErrUnreachable
		}
		return nil
	}
	w.db.after = func(_ context.Context, what string) error {
		if what != "commit" {
			return nil
		}
		down = true
		return database.ErrUnreachable
	}
	version := w.rotate("db", nil)
	w.advance(0)
	if !w.record("db").switching() {
		t.Fatalf("%+v", w.record("db").Rotation.Run)
	}
	w.must("UpdateSecretVersionStage", object{"SecretId": "db", "VersionStage": pendingLabel, "RemoveFromVersionId": version})
	down, w.db.after = false, nil
	w.advance(time.Hour)
	w.done("in the end", version)
}

package secretsmanager

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/database"
)

// Databases is what managed rotation asks of databases. Its errors are those of package database.
type Databases interface {
	Turn(ctx context.Context, at *database.Credentials) (done func(), err error)
	Login(ctx context.Context, as *database.Credentials) error
	Change(ctx context.Context, as *database.Credentials, user, password string) (Change, error)
	Settle(ctx context.Context, as *database.Credentials, user, password string) error
	Clone(ctx context.Context, as *database.Credentials, from, to, password string) error
}

// Change is a change of a password that is prepared; see database.Change.
type Change interface {
	Overlaps() bool
	Commit(context.Context) error
	Close()
}

// Through is the databases that a dialer reaches.
func Through(d *database.Dialer) Databases { return dialer{d} }

type dialer struct{ *database.Dialer }

func (d dialer) Change(ctx context.Context, as *database.Credentials, user, password string) (Change, error) {
	ch, err := d.Dialer.Change(ctx, as, user, password)
	if err != nil {
		return nil, err
	}
	return ch, nil
}

// managed says that a secret holds the credentials of a database, and that they are rotated without a function of the customer's.
type managed struct {
	// Master is the ARN of the secret of a user who may change others, or "". It is as the secret named it when rotation was configured, by somebody who may read it: naming
	// another one later does not open that to whom it is closed.
	Master string `json:",omitempty"`
	// Alternating is set where the secret has two users, that are used in turns.
	Alternating bool `json:",omitempty"`
}

// strategy is what one of the rotation functions does that AWS provides.
type strategy struct {
	engine      database.Engine
	alternating bool
}

// strategies are those that are built in, by the names of AWS's functions without what all of them have in common, and of the rotation types of CloudFormation's hosted functions:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_available-rotation-templates.html
func strategies(name string) (strategy, bool) {
	switch name {
	case "PostgreSQLSingleUser":
		return strategy{database.PostgreSQL, false}, true
	case "PostgreSQLMultiUser":
		return strategy{database.PostgreSQL, true}, true
	case "MySQLSingleUser":
		return strategy{database.MySQL, false}, true
	case "MySQLMultiUser":
		return strategy{database.MySQL, true}, true
	case "MariaDBSingleUser":
		return strategy{database.MariaDB, false}, true
	case "MariaDBMultiUser":
		return strategy{database.MariaDB, true}, true
	case "ElasticacheUser":
		return strategy{database.Redis, false}, true
	}
	return strategy{}, false
}

// strategyOf is that of a function, by its ARN or its name.
func strategyOf(function string) (strategy, bool) {
	if a, err := arn.Parse(function); err == nil {
		name, ok := strings.CutPrefix(a.Resource, "function:")
		if !ok || a.Service != "lambda" {
			return strategy{}, false
		}
		function, _, _ = strings.Cut(name, ":")
	}
	function = strings.TrimPrefix(strings.TrimPrefix(function, "SecretsManager"), "RDS")
	return strategies(strings.Replace(function, "Rotation", "", 1))
}

// manage has the secret rotated without a function of the customer's, if it holds credentials of a database. function is that of AWS's which was asked for, or "".
func (s *Service) manage(c *call.Call, sec *secret, function string) error {
	want, named := strategyOf(function)
	cur, err := s.credentials(c, sec, currentLabel)
	if s.cfg.Databases == nil {
		err = errNoDatabases
	}
	switch {
	case !named && (errors.Is(err, errNoDatabases) || errors.Is(err, errNoValue) || errors.Is(err, database.ErrCredentials)):
		return invalidRequest("No Lambda rotation function ARN is associated with this secret.")
	case errors.Is(err, errNoDatabases), errors.Is(err, errNoValue), errors.Is(err, database.ErrCredentials):
		return invalidRequest("The secret can't be rotated: %s.", err)
	case err != nil:
		return err
	case named && want.engine != cur.Engine && !(sameFamily(want.engine) && sameFamily(cur.Engine)):
		return invalidRequest("The secret can't be rotated: its engine is %s, and the rotation function is for %s.", cur.Engine, want.engine)
	}
	m := &managed{Master: cur.MasterARN, Alternating: named && want.alternating || !named && cur.MasterARN != ""}
	if m.Alternating && m.Master == "" {
		return invalidRequest("The secret can't be rotated: alternating users need the ARN of a superuser secret in its member masterarn.")
	}
	if m.Master != "" {
		if err := s.mayUse(c, sec, m.Master); err != nil {
			return err
		}
	}
	r := sec.rotating()
	r.Managed, r.Lambda = m, function
	return nil
}

// sameFamily reports whether an engine speaks as MySQL does, so that the functions of either are taken for it.
func sameFamily(e database.Engine) bool { return e == database.MySQL || e == database.MariaDB }

// mayUse asks whether the caller may read the superuser's secret: rotation will.
func (s *Service) mayUse(c *call.Call, sec *secret, masterARN string) error {
	t, err := parse(c, masterARN)
	if err != nil {
		return err
	}
	if t.account != sec.Account || t.region != sec.Region || t.name == sec.Name {
		return invalidRequest("The secret can't be rotated: its superuser secret must be another one of the same account and Region.")
	}
	master, err := s.read(c, t)
	if err != nil {
		return err
	}
	return s.authorizeAction(c, secretsmanager.OpGetSecretValue.Action, t, master, &access{reading: new(secretsmanager.GetSecretValueRequest)})
}

var (
	errNoDatabases = errors.New("this server reaches no databases")

	errNoValue  = errors.New("the secret has no value")
	errBinary   = fmt.Errorf("%w: it is binary", database.ErrCredentials)
	errMismatch = errors.New("the superuser's secret is of another database: engine, host and port have to be the same")
)

// credentials are what the version says that has a label, read on behalf of the secret's account.
func (s *Service) credentials(c *call.Call, sec *secret, label string) (*database.Credentials, error) {
	return s.credentialsOf(c, sec, sec.Labels[label])
}

// credentialsOf is credentials for a version.
func (s *Service) credentialsOf(c *call.Call, sec *secret, id string) (*database.Credentials, error) {
	v, err := s.saidBy(c, sec, id)
	if err != nil {
		return nil, err
	}
	if v.binary {
		return nil, errBinary
	}
	return database.Parse(string(v.bytes))
}

// saidBy is what a version says, read on behalf of the secret's account.
func (s *Service) saidBy(c *call.Call, sec *secret, id string) (*value, error) {
	if id == "" {
		return nil, errNoValue
	}
	v, err := s.version(c, sec, id)
	if err != nil {
		return nil, err
	}
	if v.Sum == nil {
		return nil, errNoValue
	}
	plain, err := s.decrypt(sec.forAccount(c), sec, v)
	if err != nil {
		return nil, err
	}
	return &value{plain, v.Binary}, nil
}

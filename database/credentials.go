package database

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrCredentials is the error of a secret that is not the credentials of a database that this package knows. What wraps it names the member, and tells no value.
var ErrCredentials = errors.New("the secret does not hold a database's credentials")

// Credentials are what logs in to a database, in the shape that RDS gives secrets.
type Credentials struct {
	Engine Engine
	Host   string
	// Port is 0 for the engine's own.
	Port               int
	Username, Password string
	// DBName is the database to connect to; empty is the engine's choice.
	DBName string
	// MasterARN names the secret of a user who may change others.
	MasterARN string
	// SSL is whether TLS is spoken: true always, false never. Nil is TLS except to a server on loopback.
	SSL *bool

	origin []member // of the JSON text that this was parsed from, in order
}

type member struct {
	name  string
	value json.RawMessage
}

const maxUsername = 255

// Parse reads a secret. Members that it does not know are kept; numbers and booleans may be strings, as they may be for RDS.
func Parse(secretString string) (*Credentials, error) {
	members, err := split(secretString)
	if err != nil {
		return nil, err
	}
	c := &Credentials{origin: members}
	for _, m := range members {
		if err := c.read(m); err != nil {
			return nil, err
		}
	}
	switch {
	case c.Engine == "":
		return nil, missing("engine")
	case c.Host == "":
		return nil, missing("host")
	case c.Username == "" && c.Engine != Redis:
		return nil, missing("username")
	case c.Password == "":
		return nil, missing("password")
	}
	return c, nil
}

func missing(name string) error { return fmt.Errorf("%w: it has no %s", ErrCredentials, name) }

func invalid(name string) error { return fmt.Errorf("%w: its %s is not valid", ErrCredentials, name) }

// split reads the members of a JSON object. Of several with one name the last counts.
func split(text string) ([]member, error) {
	notJSON := fmt.Errorf("%w: it is not a JSON object", ErrCredentials)
	if !utf8.ValidString(text) {
		return nil, notJSON
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	if t, err := decoder.Token(); err != nil || t != json.Delim('{') {
		return nil, notJSON
	}
	var members []member
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, notJSON
		}
		m := member{name: name.(string)} // a name, or Token had returned an error
		if err := decoder.Decode(&m.value); err != nil {
			return nil, notJSON
		}
		members = put(members, m)
	}
	if _, err := decoder.Token(); err != nil {
		return nil, notJSON
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, notJSON
	}
	return members, nil
}

// put replaces the member of that name, or adds it.
func put(members []member, m member) []member {
	for i := range members {
		if members[i].name == m.name {
			members[i].value = m.value
			return members
		}
	}
	return append(members, m)
}

// read takes a member over.
func (c *Credentials) read(m member) error {
	switch m.name {
	case "engine":
		var name string
		if json.Unmarshal(m.value, &name) != nil || EngineOf(name) == "" {
			return invalid(m.name)
		}
		c.Engine = EngineOf(name)
	case "host":
		return m.text(&c.Host, 255)
	case "username":
		return m.text(&c.Username, maxUsername)
	case "password":
		return m.text(&c.Password, 4096)
	case "dbname":
		return m.text(&c.DBName, 255)
	case "masterarn":
		return m.text(&c.MasterARN, 2048)
	case "port":
		return m.port(&c.Port)
	case "ssl":
		return m.flag(&c.SSL)
	}
	return nil
}

// text reads a string. Engines end strings at a zero byte, which would make two users of one.
func (m member) text(to *string, limit int) error {
	if json.Unmarshal(m.value, to) != nil || len(*to) > limit || strings.ContainsRune(*to, 0) {
		return invalid(m.name)
	}
	return nil
}

func (m member) port(to *int) error {
	if string(m.value) == "null" {
		return nil
	}
	text := string(m.value)
	if text[0] == '"' && json.Unmarshal(m.value, &text) != nil {
		return invalid(m.name)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return invalid(m.name)
	}
	*to = int(n)
	return nil
}

func (m member) flag(to **bool) error {
	switch strings.ToLower(strings.Trim(string(m.value), `"`)) {
	case "true":
		*to = new(true)
	case "false":
		*to = new(false)
	case "null":
	default:
		return invalid(m.name)
	}
	return nil
}

// With is a copy with another user and password.
func (c *Credentials) With(username, password string) *Credentials {
	out := *c
	out.Username, out.Password = username, password
	return &out
}

// JSON is the secret's text: the members that were parsed, in their order and as they were, with what has changed since.
func (c *Credentials) JSON() string {
	members := append([]member(nil), c.origin...)
	was := &Credentials{}
	for _, m := range c.origin {
		_ = was.read(m) // it was read before
	}
	set := func(name string, changed bool, value any) {
		if changed {
			members = put(members, member{name, encode(value)})
		}
	}
	set("engine", c.Engine != was.Engine, string(c.Engine))
	set("host", c.Host != was.Host, c.Host)
	set("username", c.Username != was.Username, c.Username)
	set("password", c.Password != was.Password, c.Password)
	set("dbname", c.DBName != was.DBName, c.DBName)
	set("port", c.Port != was.Port, c.Port)
	set("masterarn", c.MasterARN != was.MasterARN, c.MasterARN)
	if c.SSL != nil {
		set("ssl", was.SSL == nil || *was.SSL != *c.SSL, *c.SSL)
	}
	var out bytes.Buffer
	for i, m := range members {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(encode(m.name))
		out.WriteByte(':')
		out.Write(m.value)
	}
	return "{" + out.String() + "}"
}

// encode is a value as JSON, without the escapes that are for pages.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // to memory; strings, numbers and booleans always encode
	return bytes.TrimSpace(b.Bytes())
}

// String tells where and who, and not the password: credentials that are printed by mistake stay secret.
func (c *Credentials) String() string {
	return fmt.Sprintf("%s at %s", c.Engine, c.address())
}

// GoString is String, for %#v.
func (c *Credentials) GoString() string { return c.String() }

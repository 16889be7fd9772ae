package database_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-cloud/holdfast/database"
)

func TestParse(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want database.Credentials
	}{
		"RDS": {
			`{"username":"admin","password":"p","engine":"mysql","host":"db.example.com","port":3306,"dbname":"shop","masterarn":"arn:x","dbInstanceIdentifier":"i"}`,
			database.Credentials{Engine: database.MySQL, Host: "db.example.com", Port: 3306, Username: "admin", Password: "p", DBName: "shop", MasterARN: "arn:x"},
		},
		"Strings": {
			`{"engine":"Postgres","host":"h","port":"5433","username":"u","password":"p","ssl":"True"}`,
			database.Credentials{Engine: database.PostgreSQL, Host: "h", Port: 5433, Username: "u", Password: "p", SSL: new(true)},
		},
		"Nulls":         {`{"engine":"mariadb","host":"h","port":null,"username":"u","password":"p","ssl":null,"dbname":null}`, database.Credentials{Engine: database.MariaDB, Host: "h", Username: "u", Password: "p"}},
		"RedisNoUser":   {`{"engine":"valkey","host":"h","password":"p","ssl":false}`, database.Credentials{Engine: database.Redis, Host: "h", Password: "p", SSL: new(false)}},
		"LastCounts":    {`{"engine":"redis","host":"a","password":"p","host":"b"}`, database.Credentials{Engine: database.Redis, Host: "b", Password: "p"}},
		"AnyPassword":   {`{"engine":"redis","host":"a","password":"\"'\\\u00fc {}"}`, database.Credentials{Engine: database.Redis, Host: "a", Password: "\"'\\ü {}"}},
		"AuroraEngines": {`{"engine":"aurora-postgresql","host":"a","username":"u","password":"p"}`, database.Credentials{Engine: database.PostgreSQL, Host: "a", Username: "u", Password: "p"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := database.Parse(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got, cmpopts.IgnoreUnexported(database.Credentials{})); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for text, member := range map[string]string{
		"": "JSON", "s3cr3t": "JSON", "null": "JSON", "[]": "JSON", `"s3cr3t"`: "JSON", `{"password":"s3cr3t"} x`: "JSON", `{"password":"s3cr3t"`: "JSON", `{"password":`: "JSON", "{\"password\":\"s3cr3t\xff\"}": "JSON",
		`{}`: "engine", `{"engine":"oracle s3cr3t","host":"h"}`: "engine", `{"engine":5}`: "engine",
		`{"engine":"redis","password":"s3cr3t"}`: "host", `{"engine":"redis","host":["s3cr3t"]}`: "host", `{"engine":"redis","host":"h\u0000","password":"x"}`: "host",
		`{"engine":"mysql","host":"h","password":"s3cr3t"}`: "username", `{"engine":"mysql","host":"h","username":"u"}`: "password",
		`{"engine":"mysql","host":"h","username":"u","password":{"s3cr3t":1}}`: "password", `{"engine":"mysql","host":"h","username":"` + strings.Repeat("u", 256) + `"}`: "username",
		`{"engine":"mysql","host":"h","username":"u","password":"s3cr3t","port":"s3cr3t"}`: "port", `{"engine":"mysql","host":"h","username":"u","password":"p","port":0}`: "port", `{"engine":"mysql","host":"h","username":"u","password":"p","port":65536}`: "port", `{"engine":"mysql","host":"h","username":"u","password":"p","port":-1}`: "port", `{"engine":"mysql","host":"h","username":"u","password":"p","port":1.5}`: "port",
		`{"engine":"mysql","host":"h","username":"u","password":"s3cr3t","ssl":"s3cr3t"}`: "ssl", `{"engine":"mysql","host":"h","username":"u","password":"p","ssl":1}`: "ssl",
	} {
		_, err := database.Parse(text)
		if !errors.Is(err, database.ErrCredentials) || !strings.Contains(err.Error(), member) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("Parse(%s): %v, want ErrCredentials about %s", text, err, member)
		}
	}
}

// What is written back is what was read, but for what has changed.
func TestJSON(t *testing.T) {
	const text = `{"port":"3306","engine":"aurora-mysql","note":{"a":[1.0,2]},"host":"h","username":"u","password":"old","ssl":"true"}`
	c, err := database.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.JSON(); got != text {
		t.Errorf("JSON is %s, want %s", got, text)
	}
	const want = `{"port":"3306","engine":"aurora-mysql","note":{"a":[1.0,2]},"host":"h","username":"u_clone","password":"<n&\"w>","ssl":"true"}`
	if got := c.With("u_clone", `<n&"w>`).JSON(); got != want {
		t.Errorf("JSON is %s, want %s", got, want)
	}
	if got := c.JSON(); got != text {
		t.Errorf("With changed what it copies: %s", got)
	}
	made := &database.Credentials{Engine: database.PostgreSQL, Host: "h", Port: 5432, Username: "u", Password: "p", DBName: "d", MasterARN: "m", SSL: new(false)}
	again, err := database.Parse(made.JSON())
	if diff := cmp.Diff(made, again, cmpopts.IgnoreUnexported(database.Credentials{})); err != nil || diff != "" {
		t.Errorf("%s: %v (-want +got):\n%s", made.JSON(), err, diff)
	}
	for _, printed := range []string{fmt.Sprint(made.With("u", "s3cr3t")), fmt.Sprintf("%+v", made.With("u", "s3cr3t")), fmt.Sprintf("%#v", made.With("u", "s3cr3t"))} {
		if strings.Contains(printed, "s3cr3t") {
			t.Errorf("printed: %s", printed)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"engine":"postgres","host":"h","port":"5432","username":"u","password":"p","ssl":true,"x":[{}]}`)
	f.Add(`{"engine":"redis","host":"h","password":"p","port":null}`)
	f.Add(`{"port":`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := database.Parse(text)
		if err != nil {
			return
		}
		for _, c := range []*database.Credentials{c, c.With(c.Username+"_clone", c.Password+"2")} {
			again, err := database.Parse(c.JSON())
			if c.Username == "" || len(c.Username) > 255 || len(c.Password) > 4096 {
				continue
			}
			if diff := cmp.Diff(c, again, cmpopts.IgnoreUnexported(database.Credentials{})); err != nil || diff != "" {
				t.Errorf("%s becomes %s: %v (-want +got):\n%s", text, c.JSON(), err, diff)
			}
			if !json.Valid([]byte(c.JSON())) {
				t.Errorf("%s becomes %s", text, c.JSON())
			}
		}
	})
}

func TestNewPassword(t *testing.T) {
	for engine, length := range map[string]int{"postgres": 32, "mysql": 32, "mariadb": 32, "redis": 64} {
		seen := map[string]bool{}
		count := map[rune]int{}
		for range 2000 {
			p, err := database.NewPassword(rand.Reader, engine)
			if err != nil {
				t.Fatal(err)
			}
			if len(p) != length || seen[p] || !strings.ContainsAny(p, "abcdefghijklmnopqrstuvwxyz") || !strings.ContainsAny(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") || !strings.ContainsAny(p, "0123456789") ||
				!strings.ContainsAny(p, "-_.~+") || strings.ContainsAny(p, ` /@"'\:?#%&=;$<>|*!`+"`") {
				t.Fatalf("%s: %q", engine, p)
			}
			seen[p] = true
			for _, r := range p {
				count[r]++
			}
		}
		// Letters are equally likely.
		if a, z := count['a'], count['Z']; a < z*3/4 || z < a*3/4 {
			t.Errorf("%s: %d times a, %d times Z", engine, a, z)
		}
	}
	if _, err := database.NewPassword(rand.Reader, "oracle"); !errors.Is(err, database.ErrCredentials) {
		t.Errorf("oracle: %v, want ErrCredentials", err)
	}
	if _, err := database.NewPassword(bytes.NewReader(nil), "redis"); err == nil {
		t.Error("a password without randomness")
	}
}

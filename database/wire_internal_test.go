package database

import (
	"bufio"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// A line of SHOW GRANTS, as servers write them, becomes one for somebody else, whatever names are in it.
func TestGrants(t *testing.T) {
	for line, want := range map[string]string{
		"GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*0123'":              "GRANT USAGE ON *.* TO X",
		"GRANT SELECT ON `a TO b`.* TO `app`@`%`":                                     "GRANT SELECT ON `a TO b`.* TO X",
		"GRANT SELECT (`x`), INSERT ON `db`.`t` TO 'app'@'%' WITH GRANT OPTION":       "GRANT SELECT (`x`), INSERT ON `db`.`t` TO X WITH GRANT OPTION",
		"GRANT ALL PRIVILEGES ON `d``b`.* TO `a TO b`@`%` REQUIRE SSL":                "GRANT ALL PRIVILEGES ON `d``b`.* TO X",
		"GRANT `r`@`%`,`s`@`%` TO `app`@`%` WITH ADMIN OPTION":                        "GRANT `r`@`%`,`s`@`%` TO X WITH ADMIN OPTION",
		"SET DEFAULT ROLE `r` FOR `app`@`%`":                                          "SET DEFAULT ROLE `r` FOR X",
		"GRANT EXECUTE ON PROCEDURE `x`.`it's` TO `app`@`%`":                          "GRANT EXECUTE ON PROCEDURE `x`.`it's` TO X",
		`GRANT SELECT ON "q"".* TO ".* TO 'a\' TO '@'%' WITH MAX_QUERIES_PER_HOUR 5`:  `GRANT SELECT ON "q"".* TO ".* TO X`,
		"GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION":               "GRANT PROXY ON ''@'%' TO X WITH GRANT OPTION",
		"GRANT SELECT ON `WITH GRANT OPTION`.* TO `WITH GRANT OPTION`@`GRANT OPTION`": "GRANT SELECT ON `WITH GRANT OPTION`.* TO X",
		"REVOKE x": "", "GRANT x": "", "": "",
	} {
		g, ok := parseGrant(line)
		if ok != (want != "") || ok && g.to("X") != want {
			t.Errorf("%s becomes %s, want %s", line, g.to("X"), want)
		}
	}
}

func TestWithin(t *testing.T) {
	grants := func(lines ...string) (out []grant) {
		for _, l := range lines {
			g, _ := parseGrant(l)
			out = append(out, g)
		}
		return out
	}
	some := grants("GRANT SELECT, PROCESS ON *.* TO x", "GRANT ALL PRIVILEGES ON `d`.* TO x")
	for line, want := range map[string]bool{
		"GRANT USAGE ON *.* TO y": true, "GRANT SELECT ON *.* TO y": true, "GRANT PROCESS, SELECT ON *.* TO y": true, "GRANT SUPER ON *.* TO y": false, "GRANT ALL PRIVILEGES ON *.* TO y": false,
		"GRANT SELECT ON *.* TO y WITH GRANT OPTION": false, "GRANT DELETE ON `other`.* TO y": true,
	} {
		if got := within(grants(line)[0], some); got != want {
			t.Errorf("%s is within: %v, want %v", line, got, want)
		}
	}
	if !within(grants("GRANT SUPER ON *.* TO y WITH GRANT OPTION")[0], grants("GRANT ALL PRIVILEGES ON *.* TO x WITH GRANT OPTION")) {
		t.Error("one privilege is not within all")
	}
}

func FuzzGrant(f *testing.F) {
	f.Add("GRANT SELECT ON `a TO b`.* TO 'app\\''@'%' WITH GRANT OPTION")
	f.Add("SET DEFAULT ROLE `r` FOR `app`@`%`")
	f.Fuzz(func(t *testing.T, line string) {
		if len(unquoted(line)) != len(line) {
			t.Errorf("%q becomes %q", line, unquoted(line))
		}
		if g, ok := parseGrant(line); ok && !strings.HasPrefix(line, g.what) {
			t.Errorf("%q is %+v", line, g)
		}
	})
}

func TestMethods(t *testing.T) {
	for text, want := range map[string][]method{
		`{"plugin":"mysql_native_password","authentication_string":"*1"}`:                                                              {{native, "*1"}},
		`{"plugin":"ed25519","authentication_string":"k","auth_or":[{"plugin":"unix_socket"},{},{"plugin":"p","x":1}],"access":18446}`: {{"unix_socket", ""}, {ed25519, "k"}, {"p", ""}},
		`{}`: {{}},
	} {
		if got, err := parseMethods(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	if _, err := parseMethods("nonsense"); err == nil {
		t.Error("nonsense is taken")
	}
}

func TestRules(t *testing.T) {
	got := parseRules("on #0123 sanitize-payload ~a:* (~b:* resetchannels -@all +get) &* -@all +@read (+set)")
	want := []string{"sanitize-payload", "~a:*", "(~b:* resetchannels -@all +get)", "&*", "-@all", "+@read", "(+set)"}
	if !slices.Equal(got, want) {
		t.Errorf("rules are %q, want %q", got, want)
	}
}

func TestVersions(t *testing.T) {
	for text, want := range map[string]int{"8.0.36": 80036, "5.7.44-log": 50744, "9.1.0": 90100, "10.11.19-MariaDB-0+deb12u1": 101119, "8.0.mysql_aurora.3.05.2": 80000, "": 0, "-": 0, "x.y.z": 0, "999.1.1": 990101} {
		if got := versionOf(text); got != want {
			t.Errorf("%s is %d, want %d", text, got, want)
		}
	}
}

// Whatever a server answers, nothing panics, and no more is kept than it sends.
func FuzzRESP(f *testing.F) {
	for _, seed := range []string{"+OK\r\n", "-WRONGPASS no\r\n", "$3\r\nabc\r\n", "$-1\r\n", "*2\r\n$1\r\na\r\n*-1\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "$9223372036854775807\r\n", "*65536\r\n", ":5\r\n", "\r\n", "$1\r\nabc", "%1\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		client, server := net.Pipe()
		go func() {
			_ = server.SetDeadline(time.Now().Add(10 * time.Second))
			in := bufio.NewReader(server)
			for range 3 {
				if _, err := in.ReadString('\n'); err != nil {
					break
				}
			}
			_, _ = server.Write(answer)
			_ = server.Close()
		}()
		defer client.Close()
		r := &resp{conn: client, in: bufio.NewReader(client)}
		_, _ = r.do(t.Context(), "PING")
	})
}

package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/database"
	"github.com/holdfast-cloud/holdfast/internal/dbtest"
)

var secretsAPI = api{"secretsmanager", "secretsmanager", "application/x-amz-json-1.1"}

// secretTable prints what secrets give beside KMS, and how long it takes to rotate many of them.
func secretTable(ctx context.Context, o options) error {
	s, err := startHoldfast(ctx, o.binary, "", "--database-network", "127.0.0.0/8")
	if err != nil {
		return err
	}
	defer s.end()
	if err := secretCalls(ctx, o, s); err != nil {
		return err
	}
	return rotations(ctx, o, s)
}

// secretCalls prints GetSecretValue beside KMS Decrypt: it has a value decrypted, too.
func secretCalls(ctx context.Context, o options, s *server) error {
	value := strings.Repeat("v", 32)
	var key struct{ KeyMetadata struct{ Arn string } }
	if err := s.call("CreateKey", map[string]string{}, &key); err != nil {
		return err
	}
	var encrypted struct{ CiphertextBlob string }
	encrypt := map[string]any{"KeyId": key.KeyMetadata.Arn, "Plaintext": base64.StdEncoding.EncodeToString([]byte(value)), "EncryptionContext": map[string]string{"purpose": "bench"}}
	if err := s.call("Encrypt", encrypt, &encrypted); err != nil {
		return err
	}
	for name, keyID := range map[string]string{"bench/default": "", "bench/own": key.KeyMetadata.Arn} {
		in := map[string]string{"Name": name, "SecretString": value, "ClientRequestToken": token(name)}
		if keyID != "" {
			in["KmsKeyId"] = keyID
		}
		if err := s.callFor(secretsAPI, "CreateSecret", in, nil); err != nil {
			return err
		}
	}
	var all []*contender
	for _, r := range []struct {
		name      string
		api       api
		operation string
		in        any
	}{
		{"KMS Decrypt", kmsAPI, "Decrypt", map[string]any{"CiphertextBlob": encrypted.CiphertextBlob, "EncryptionContext": map[string]string{"purpose": "bench"}}},
		{"GetSecretValue", secretsAPI, "GetSecretValue", map[string]string{"SecretId": "bench/default"}},
		{"GetSecretValue, key of one's own", secretsAPI, "GetSecretValue", map[string]string{"SecretId": "bench/own"}},
		{"DescribeSecret", secretsAPI, "DescribeSecret", map[string]string{"SecretId": "bench/default"}},
	} {
		c, err := contenderFor(s, r.name, r.api, r.operation, r.in)
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	if err := contest(ctx, all, o.conns, o.seconds); err != nil {
		return err
	}
	fmt.Printf("## Secrets\n\nValues of %d bytes, %d connections; %s a row in %d turns.\n\n", len(value), o.conns, o.seconds, rounds)
	besideDecrypt(all)
	return nil
}

// token is an idempotency token.
func token(name string) string { return strings.Repeat("-", max(0, 32-len(name))) + name }

// rotations prints how long it takes to rotate secrets of which each is a role of one PostgreSQL, on the same machine.
func rotations(ctx context.Context, o options, s *server) error {
	db, err := dbtest.Run()
	if err != nil {
		return err
	}
	defer db.End()
	if _, err := db.Query(ctx, dbtest.Superuser, dbtest.Password, "DO $$ BEGIN FOR i IN 0.."+strconv.Itoa(o.rotations-1)+
		" LOOP EXECUTE format('CREATE ROLE app%s LOGIN PASSWORD ''md58eb0c1f5a5a0e5b9c3f0d3a1f1a1b1c1''', i); END LOOP; END $$",
		"UPDATE pg_authid SET rolpassword = 'md5' || md5('first' || rolname) WHERE rolname LIKE 'app%'"); err != nil {
		return err
	}
	err = parallel(ctx, s, o.conns, o.rotations, func(c *conn, n int) error {
		value := (&database.Credentials{Engine: database.PostgreSQL, Host: db.Host, Port: db.Port, Username: fmt.Sprintf("app%d", n), Password: "first"}).JSON()
		name := fmt.Sprintf("app%d", n)
		return s.callOn(c, secretsAPI, "CreateSecret", map[string]string{"Name": name, "SecretString": value, "ClientRequestToken": token(name)}, nil)
	})
	if err != nil {
		return err
	}
	before, err := s.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	err = parallel(ctx, s, o.conns, o.rotations, func(c *conn, n int) error {
		name := fmt.Sprintf("app%d", n)
		return s.callOn(c, secretsAPI, "RotateSecret", map[string]string{"SecretId": name, "ClientRequestToken": token("new" + name)}, nil)
	})
	if err != nil {
		return err
	}
	asked := time.Since(begin)
	connections := 0
	// Each is asked until it is done, in turn, once in a while: that is no load.
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	for n := 0; n < o.rotations && ctx.Err() == nil; {
		now, err := db.Query(ctx, dbtest.Superuser, dbtest.Password, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holdfast'")
		if err != nil {
			return err
		}
		if open, err := strconv.Atoi(now); err == nil {
			connections = max(connections, open)
		}
		for ; n < o.rotations; n++ {
			var out struct{ VersionIdsToStages map[string][]string }
			if err := s.callOn(c, secretsAPI, "DescribeSecret", map[string]string{"SecretId": fmt.Sprintf("app%d", n)}, &out); err != nil {
				return err
			}
			if !slices.Contains(out.VersionIdsToStages[token(fmt.Sprintf("newapp%d", n))], "AWSCURRENT") {
				break
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	took := time.Since(begin)
	after, err := s.cpu()
	if err != nil {
		return err
	}
	fmt.Printf("### %d rotations\n\nManaged rotation of as many secrets, each the password of a role of one PostgreSQL on the same machine, all asked for at once: each is prepared, waits for who has just fetched "+
		"the password, is committed, and tried.\n\n| | |\n| --- | ---: |\n", o.rotations)
	fmt.Printf("| asked for after | %.1f s |\n| rotated after | %.1f s |\n| rotations/s | %.0f |\n| server CPU ms/rotation | %.2f |\n| connections to the database, at most | %d |\n\n",
		asked.Seconds(), took.Seconds(), float64(o.rotations)/took.Seconds(), (after-before).Seconds()*1000/float64(o.rotations), connections)
	return ctx.Err()
}

// parallel does something with each number below n, on several connections.
func parallel(ctx context.Context, s *server, conns, n int, do func(c *conn, n int) error) error {
	var next atomic.Int64
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			c, err := s.dial()
			if err == nil {
				defer c.Close()
			}
			for i := int(next.Add(1)) - 1; err == nil && i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				err = do(c, i)
			}
			mu.Lock()
			defer mu.Unlock()
			if failed == nil {
				failed = err
			}
		})
	}
	wg.Wait()
	return failed
}

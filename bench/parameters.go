package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var ssmAPI = api{"ssm", "AmazonSSM", "application/x-amz-json-1.1"}

// What lies in one hierarchy, and what one account may have in a region of the advanced tier: more lie in further regions.
const (
	levelSize    = 100
	regionHolds  = 100_000
	standardSize = 10_000
)

// parameterTable prints what parameters give beside KMS, and how long a page of a hierarchy takes with many parameters around it.
func parameterTable(ctx context.Context, o options) error {
	s, err := startHoldfast(ctx, o.binary, "")
	if err != nil {
		return err
	}
	defer s.end()
	if err := parameterCalls(ctx, o, s); err != nil {
		return err
	}
	return hierarchies(ctx, o, s)
}

// parameterCalls prints calls of Parameter Store beside KMS Decrypt, which one of them contains.
func parameterCalls(ctx context.Context, o options, s *server) error {
	var key struct{ KeyMetadata struct{ Arn string } }
	if err := s.call("CreateKey", map[string]string{}, &key); err != nil {
		return err
	}
	value := strings.Repeat("v", 32)
	for i := range batch {
		plain := map[string]any{"Name": fmt.Sprintf("/bench/plain/%d", i), "Value": value, "Type": "String"}
		if err := s.callFor(ssmAPI, "PutParameter", plain, nil); err != nil {
			return err
		}
	}
	var names []string
	for i := range batch {
		names = append(names, fmt.Sprintf("/bench/plain/%d", i))
	}
	secure := map[string]any{"Name": "/bench/secure", "Value": value, "Type": "SecureString", "KeyId": key.KeyMetadata.Arn}
	if err := s.callFor(ssmAPI, "PutParameter", secure, nil); err != nil {
		return err
	}
	var encrypted struct{ CiphertextBlob string }
	encrypt := map[string]any{"KeyId": key.KeyMetadata.Arn, "Plaintext": base64.StdEncoding.EncodeToString([]byte(value)), "EncryptionContext": map[string]string{"purpose": "bench"}}
	if err := s.call("Encrypt", encrypt, &encrypted); err != nil {
		return err
	}
	var all []*contender
	for _, r := range []struct {
		name      string
		api       api
		operation string
		in        any
	}{
		{"KMS Decrypt", kmsAPI, "Decrypt", map[string]any{"CiphertextBlob": encrypted.CiphertextBlob, "EncryptionContext": map[string]string{"purpose": "bench"}}},
		{"GetParameter", ssmAPI, "GetParameter", map[string]any{"Name": "/bench/plain/0"}},
		{"GetParameter, decrypted", ssmAPI, "GetParameter", map[string]any{"Name": "/bench/secure", "WithDecryption": true}},
		{"GetParameters of 10", ssmAPI, "GetParameters", map[string]any{"Names": names}},
		{"GetParametersByPath of 10", ssmAPI, "GetParametersByPath", map[string]any{"Path": "/bench/plain"}},
		{"PutParameter", ssmAPI, "PutParameter", map[string]any{"Name": "/bench/put", "Value": value, "Type": "String", "Overwrite": true}},
	} {
		c, err := contenderFor(s, r.name, r.api, r.operation, r.in)
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	all[len(all)-1].conns = 1 // all put the same parameter, one after the other
	if err := contest(ctx, all, o.conns, o.seconds); err != nil {
		return err
	}
	fmt.Printf("## Parameters\n\nValues of %d bytes, %d connections, PutParameter on one; %s a row in %d turns.\n\n", len(value), o.conns, o.seconds, rounds)
	besideDecrypt(all)
	return nil
}

// hierarchies prints how long a page takes, with more and more parameters in the store.
func hierarchies(ctx context.Context, o options, s *server) error {
	fmt.Printf("### A page of a hierarchy among many parameters\n\nHierarchies of %d parameters. GetParametersByPath of 10, one connection: a level, and all that is below its parent.\n\n"+
		"| parameters | put/s | resident MiB | one level p50 | p99 | recursive p50 | p99 |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n", levelSize)
	made := 0
	for n := min(1000, o.parameters); ; n = min(n*10, o.parameters) {
		from, begin := made, time.Now()
		if err := s.putAll(ctx, o.conns, from, n); err != nil && ctx.Err() == nil {
			return err
		}
		if ctx.Err() != nil {
			break
		}
		made = n
		rate := float64(made-from) / time.Since(begin).Seconds()
		var rows [2]*result
		for i, recursive := range []bool{false, true} {
			path := strings.TrimSuffix(parameterName(made/2), fmt.Sprintf("/%d", made/2%levelSize))
			if recursive {
				path = path[:strings.LastIndexByte(path, '/')]
			}
			body, err := json.Marshal(map[string]any{"Path": path, "Recursive": recursive})
			if err != nil {
				return err
			}
			m, err := s.signIn(region(made/2), ssmAPI, "GetParametersByPath", body)
			if err != nil {
				return err
			}
			if rows[i], err = s.burst(ctx, m, 1, time.Second); err != nil {
				return err
			}
		}
		resident, err := s.resident()
		if err != nil {
			return err
		}
		fmt.Printf("| %d | %.0f | %.0f | %s | %s | %s | %s |\n", made, rate, float64(resident)/(1<<20),
			short(rows[0].quantile(.5)), short(rows[0].quantile(.99)), short(rows[1].quantile(.5)), short(rows[1].quantile(.99)))
		if n == o.parameters {
			break
		}
	}
	fmt.Println()
	return nil
}

// parameterName is the name of the nth parameter.
func parameterName(n int) string {
	return fmt.Sprintf("/depth/%d/%d/%d", n/(levelSize*levelSize), n/levelSize, n%levelSize)
}

// region is where the nth parameter lies.
func region(n int) string { return fmt.Sprintf("us-east-%d", 1+n/regionHolds) }

// putAll makes the parameters with these numbers.
func (s *server) putAll(ctx context.Context, conns, from, to int) error {
	var next atomic.Int64
	next.Store(int64(from))
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			err := s.putSome(ctx, func() int { return int(next.Add(1)) - 1 }, to)
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

func (s *server) putSome(ctx context.Context, next func() int, to int) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	for n := next(); n < to && ctx.Err() == nil; n = next() {
		tier := "Standard"
		if n%regionHolds >= standardSize/2 {
			tier = "Advanced"
		}
		body, err := json.Marshal(map[string]any{"Name": parameterName(n), "Value": "value", "Type": "String", "Tier": tier})
		if err != nil {
			return err
		}
		m, err := s.signIn(region(n), ssmAPI, "PutParameter", body)
		if err != nil {
			return err
		}
		if _, err := c.roundTrip(m); err != nil {
			return fmt.Errorf("parameter %d: %w", n, err)
		}
	}
	return nil
}

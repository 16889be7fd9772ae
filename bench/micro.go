package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
)

// benchmark is a Go benchmark of a package, reported as it is.
type benchmark struct{ pkg, pattern string }

func storeTable(ctx context.Context, _ options) error {
	fmt.Print("## Store\n\nDurable transactions with values of 500 bytes through the transaction layer, on the embedded engine.\n\n")
	return micro(ctx, benchmark{"./store/pebblestore", "^BenchmarkCommit"})
}

func engines(ctx context.Context, _ options) error {
	fmt.Print("## Engines\n\n")
	return micro(ctx,
		benchmark{"./engine/policy", "^Benchmark(DefaultKeyPolicy|TenIdentity|TenManaged)"},
		benchmark{"./engine/keys", "^Benchmark(Encrypt|Decrypt)"},
		benchmark{"./sigv4", "^BenchmarkVerify"},
		benchmark{"./wire", "^Benchmark"},
		benchmark{"./door", "^BenchmarkAuthorization"},
		benchmark{"./cloud", "^BenchmarkEncrypt"},
	)
}

var line = regexp.MustCompile(`(?m)^(Benchmark\S+)\s+\d+\s+(.*)$`)

func micro(ctx context.Context, list ...benchmark) error {
	fmt.Println("| benchmark | result |\n| --- | --- |")
	for _, b := range list {
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", b.pattern, "-benchmem", b.pkg)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", b.pkg, err, out)
		}
		for _, m := range line.FindAllStringSubmatch(string(out), -1) {
			fmt.Printf("| %s %s | %s |\n", b.pkg, m[1], regexp.MustCompile(`\s+`).ReplaceAllString(m[2], " "))
		}
	}
	fmt.Println()
	return nil
}

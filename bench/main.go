// Command bench measures Holdfast the way docs/performance.md reports it: server and load generator on one machine, beside floors measured in the same run.
//
//	make bench                      all tables
//	go run ./bench -only calls      one of calls, latency, stall, start, elsewhere, store, engines, decisions, trail, match, bus, depth, parameters, secrets
//
// What is compared is the ratio to a floor, since the figures themselves belong to the machine. A floor is a net/http server in a process of its own that does a part of
// what Holdfast does and nothing else:
//
//	answer    reads a body and answers one of the same size
//	encrypt   verifies the signature, decodes the JSON, does one AES-GCM and answers
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// table is one part of the report.
type table struct {
	name string
	run  func(ctx context.Context, o options) error
}

var tables = []table{
	{"calls", calls},
	{"latency", latency},
	{"stall", stall},
	{"start", start},
	{"elsewhere", elsewhere},
	{"store", storeTable},
	{"engines", engines},
	{"decisions", decisions},
	{"trail", trailTable},
	{"match", matchTable},
	{"bus", busTable},
	{"depth", depthTable},
	{"parameters", parameterTable},
	{"secrets", secretTable},
}

type options struct {
	binary  string
	seconds time.Duration
	conns   int
	rows    string
	records int
	// messages is how many the table depth puts into a queue.
	messages int
	// parameters is how many the table parameters puts.
	parameters int
	// rotations is how many secrets the table secrets rotates.
	rotations int
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "floor" {
		floor(os.Args[2])
		return
	}
	var o options
	var only string
	flag.StringVar(&o.binary, "binary", "bin/holdfast", "the server to measure")
	flag.DurationVar(&o.seconds, "time", 5*time.Second, "how long each row is measured")
	flag.IntVar(&o.conns, "conns", 32, "connections that send one request after the other")
	flag.StringVar(&o.rows, "rows", "", "of the table calls, the rows whose name begins so; all if empty")
	flag.IntVar(&o.records, "records", 1_000_000, "how many records the table trail makes")
	flag.IntVar(&o.messages, "messages", 100_000, "how many messages the table depth puts into a queue; an interrupt ends that early")
	flag.IntVar(&o.parameters, "parameters", 100_000, "how many parameters the table parameters puts; an interrupt ends that early")
	flag.IntVar(&o.rotations, "rotations", 10_000, "how many secrets the table secrets rotates in a PostgreSQL that it starts")
	flag.StringVar(&only, "only", "", "tables to print, separated by commas; all if empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, t := range tables {
		if only != "" && !slices.Contains(strings.Split(only, ","), t.name) {
			continue
		}
		if err := t.run(ctx, o); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", t.name, err)
			os.Exit(1)
		}
	}
}

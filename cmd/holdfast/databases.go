package main

import (
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/database"
	"github.com/holdfast-cloud/holdfast/outbound"
)

// databases are the flags that say which databases are reached whose passwords secrets hold.
type databases struct {
	networks networks
	ca       string
	grace    time.Duration
}

func (d *databases) register(f *flags) {
	f.Func("database-network", "`network`, such as 10.0.0.0/8, that databases are in whose passwords are rotated; none is reached elsewhere; may be given several times, or with commas", d.networks.add)
	f.StringVar(&d.ca, "database-ca", "", "PEM `file` with the authorities that vouch for the certificates of such databases (default those of the machine)")
	f.DurationVar(&d.grace, "rotation-grace", 300*time.Millisecond, "`time` that those have to log in who have read a password just before it changes in a database that takes one at a time; readers wait meanwhile, two seconds at most in all")
}

// maxGrace leaves readers, who wait for two seconds, time for the change itself.
const maxGrace = 1500 * time.Millisecond

func (d *databases) config() (database.Config, error) {
	if d.grace <= 0 || d.grace > maxGrace {
		return database.Config{}, fmt.Errorf("%w: --rotation-grace is more than 0s and at most %v", errUsage, maxGrace)
	}
	roots, err := authorities("database-ca", d.ca)
	return database.Config{Guard: outbound.Guard{Allow: d.networks}, Roots: roots}, err
}

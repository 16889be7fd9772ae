package main

import (
	"github.com/holdfast-cloud/holdfast/database"
	"github.com/holdfast-cloud/holdfast/outbound"
)

// databases are the flags that say which databases are reached whose passwords secrets hold.
type databases struct {
	networks networks
	ca       string
}

func (d *databases) register(f *flags) {
	f.Func("database-network", "`network`, such as 10.0.0.0/8, that databases are in whose passwords are rotated; none is reached elsewhere; may be given several times, or with commas", d.networks.add)
	f.StringVar(&d.ca, "database-ca", "", "PEM `file` with the authorities that vouch for the certificates of such databases (default those of the machine)")
}

func (d *databases) config() (database.Config, error) {
	roots, err := authorities("database-ca", d.ca)
	return database.Config{Guard: outbound.Guard{Allow: d.networks}, Roots: roots}, err
}

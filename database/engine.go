package database

import "strings"

// Engine is a kind of database.
type Engine string

// The engines.
const (
	PostgreSQL Engine = "postgres"
	MySQL      Engine = "mysql"
	MariaDB    Engine = "mariadb"
	Redis      Engine = "redis"
)

// EngineOf is the engine that a secret's member `engine` names, in one of the spellings that RDS, ElastiCache and people use, and "" for one that is unknown.
func EngineOf(name string) Engine {
	switch strings.ToLower(name) {
	case "postgres", "postgresql", "aurora-postgresql":
		return PostgreSQL
	case "mysql", "aurora-mysql", "aurora":
		return MySQL
	case "mariadb":
		return MariaDB
	case "redis", "valkey":
		return Redis
	}
	return ""
}

// port is what the engine listens on if nothing else is said.
func (e Engine) port() int {
	switch e {
	case PostgreSQL:
		return 5432
	case Redis:
		return 6379
	}
	return 3306
}

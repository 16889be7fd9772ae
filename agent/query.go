package agent

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// key names an answer. Two spellings of one secret are two answers, as with the AWS agent.
type key struct {
	parameter      bool
	id             string // name or ARN
	version, stage string // of a parameter: version, and label
	decrypt        bool   // a parameter's value
}

// query is what a request asks for.
type query struct {
	key
	refresh bool
}

// secretQuery reads the query of a secret. id is the one that the path names, if it does.
func secretQuery(raw, id string) (query, error) {
	q := query{key: key{id: id}}
	err := each(raw, func(name, value string) (err error) {
		switch {
		case name == "secretId" && id == "":
			q.id = value
		case name == "versionId":
			q.version = value
		case name == "versionStage":
			q.stage = value
		case name == "refreshNow":
			q.refresh, err = boolean(name, value)
		default:
			return bad("unknown parameter: " + name)
		}
		return err
	})
	if err == nil && q.id == "" {
		err = bad("missing parameter secretId")
	}
	return q, err
}

// parameterQuery reads the query of a parameter. Its refreshNow is this agent's own.
func parameterQuery(raw string) (query, error) {
	q := query{key: key{parameter: true}}
	err := each(raw, func(name, value string) (err error) {
		switch name {
		case "name":
			q.id = value
		case "version":
			if _, err := strconv.ParseUint(value, 10, 63); err != nil {
				return bad("invalid version value")
			}
			q.version = value
		case "label":
			q.stage = value
		case "withDecryption":
			q.decrypt, err = boolean(name, value)
		case "refreshNow":
			q.refresh, err = boolean(name, value)
		default:
			return bad("unknown parameter: " + name)
		}
		return err
	})
	switch {
	case err != nil:
	case q.id == "":
		err = bad("missing parameter name")
	case q.version != "" && q.stage != "":
		err = bad("version and label exclude each other")
	}
	return q, err
}

// each calls f for each parameter of a query, in order.
func each(raw string, f func(name, value string) error) error {
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return bad("invalid query")
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return bad("invalid query")
		}
		if err := f(name, value); err != nil {
			return err
		}
	}
	return nil
}

func boolean(name, value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, bad("invalid " + name + " value")
}

func bad(text string) error { return &refusal{http.StatusBadRequest, text} }

package lambda

import (
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/call"
)

// name is what names a function in a request: its name, with or without account and qualifier, or its ARN.
// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html
type name struct {
	account, region string
	function        string
	qualifier       string // "" is none
}

// parseName takes a function's name apart, as the caller c means it. The model has seen to its characters.
func parseName(c *call.Call, text string) (name, error) {
	n := name{account: c.Scope.Account, region: c.Scope.Region}
	parts := strings.Split(text, ":")
	if parts[0] == "arn" {
		if len(parts) < 7 || len(parts) > 8 || parts[1] != c.Scope.Partition || parts[2] != "lambda" || parts[5] != "function" {
			return n, noFunctionName(text)
		}
		n.region, n.account, parts = parts[3], parts[4], parts[6:]
		if n.region != c.Scope.Region {
			return n, notFound("Functions from '%s' are not reachable in this region ('%s')", n.region, c.Scope.Region)
		}
	} else if len(parts) >= 3 && parts[1] == "function" {
		n.account, parts = parts[0], parts[2:]
	} else if len(parts) >= 2 && parts[0] == "function" {
		parts = parts[1:]
	}
	n.function, parts = parts[0], parts[1:]
	if len(parts) == 1 {
		n.qualifier, parts = parts[0], nil
	}
	if len(parts) > 0 || n.function == "" || len(n.account) != 12 {
		return n, noFunctionName(text)
	}
	return n, nil
}

func noFunctionName(text string) error {
	return invalid("%s is not the name or the ARN of a function.", text)
}

// qualified is the name with a qualifier of the request beside it, which may say the same again.
func (n name) qualified(qualifier string) (name, error) {
	if qualifier != "" && n.qualifier != "" && qualifier != n.qualifier {
		return n, invalid("The derived qualifier from the function name does not match the specified qualifier.")
	}
	if qualifier != "" {
		n.qualifier = qualifier
	}
	return n, nil
}

// scope is where the function is.
func (n name) scope(c *call.Call) call.Scope {
	return call.Scope{Partition: c.Scope.Partition, Account: n.account, Region: n.region}
}

// arn is the function's ARN as it was named, with the qualifier if there is one.
func (n name) arn(c *call.Call) string { return functionARN(n.scope(c), n.function, n.qualifier) }

func functionARN(s call.Scope, function, qualifier string) string {
	arn := s.ARN("lambda", "function:"+function)
	if qualifier != "" {
		arn += ":" + qualifier
	}
	return arn
}

// versionNumber is the number of a version by its qualifier. An alias is none.
func versionNumber(qualifier string) (n uint64, ok bool) {
	if qualifier == latest || qualifier == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(qualifier, 10, 63)
	return n, err == nil && n > 0
}

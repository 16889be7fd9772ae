package policytest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// Organization is an organization as its records say: who lies where, and what is attached to what.
type Organization struct {
	ID, Management, Root string
	Parents              map[string]string // of each unit and account: a unit or the root
	SCPs, RCPs           bool              // the types are enabled
	Policies             map[string]Doc
	Kinds                map[string]policy.Kind
	Attachments          []Attachment
}

// Attachment is a policy attached to the root, a unit or an account.
type Attachment struct{ Target, Policy string }

// Organizations returns the World's.
func (w *World) Organizations() []*Organization { return w.organizations }

// How AWS says it, in the Organizations User Guide: orgs_manage_policies_scps, ..._scps_evaluation, orgs_manage_policies_rcps,
// ..._rcps_evaluation.

// home is the organization of an account, and the way from its root to the account, both included. It looks for the account from the root downwards.
func (w *World) home(account string) (*Organization, []string) {
	for _, o := range w.organizations {
		if way := o.search(o.Root, account); way != nil {
			return o, way
		}
	}
	return nil, nil
}

func (o *Organization) search(node, account string) []string {
	if node == account {
		return []string{account}
	}
	for child, parent := range o.Parents {
		if parent == node {
			if way := o.search(child, account); way != nil {
				return append([]string{node}, way...)
			}
		}
	}
	return nil
}

// on is every policy of the kind on the way, place by place.
func (o *Organization) on(way []string, kind policy.Kind) (out [][]Doc) {
	for _, place := range way {
		docs := []Doc{}
		for _, a := range o.Attachments {
			if a.Target == place && o.Kinds[a.Policy] == kind {
				docs = append(docs, o.Policies[a.Policy])
			}
		}
		out = append(out, docs)
	}
	return out
}

// controlled are the services of the generated actions to which RCPs apply.
var controlled = []string{"kms", "s3", "sts"}

// fences are the RCPs and SCPs that bind the request.
func (w *World) fences() (rcp, scp [][]Doc) {
	if len(w.organizations) == 0 {
		return w.rcp, w.scp
	}
	// "SCPs affect only IAM users and roles that are managed by accounts that are part of the organization", the root user included; "SCPs don't
	// affect users or roles in the management account"; "do not affect any service-linked role".
	if o, way := w.home(w.who.Account); w.who.Account != "" && o != nil && o.SCPs && o.Management != w.who.Account && !w.serviceLinked {
		scp = o.on(way, policy.SCP)
	}
	// "RCPs affect only resources that are managed by accounts that are part of the organization", whoever asks; "don't affect resources in
	// the management account"; not the "calls made by service-linked roles"; not kms:RetireGrant; some services only.
	service, _, _ := strings.Cut(strings.ToLower(w.action), ":")
	exempt := w.serviceLinked || !slices.Contains(controlled, service) || strings.EqualFold(w.action, "kms:RetireGrant")
	if o, way := w.home(w.resourceAccount); o != nil && o.RCPs && o.Management != w.resourceAccount && !exempt {
		rcp = o.on(way, policy.RCP)
	}
	return rcp, scp
}

// learnOrganizations adds the condition keys that follow from the records.
func (w *World) learnOrganizations(own map[string]string) {
	learn := func(prefix, account string) {
		if o, way := w.home(account); account != "" && o != nil {
			own[prefix+"orgid"] = o.ID
			own[prefix+"orgpaths"] = o.ID + "/" + strings.Join(way[:len(way)-1], "/") + "/"
		}
	}
	learn("aws:principal", w.who.Account)
	learn("aws:resource", w.resourceAccount)
	learn("aws:source", w.source)
	if w.source != "" {
		own["aws:sourceaccount"] = w.source
		own["aws:sourcearn"] = "arn:aws:sns:eu-west-1:" + w.source + ":topic"
	}
}

// place puts into a request what an implementation makes of the records.
func (w *World) place(r *policy.Request, context policy.Values, memberships func(w *World, account string) *Membership) {
	learn := func(prefix, account string) *Membership {
		if account == "" {
			return nil
		}
		m := memberships(w, account)
		if m != nil {
			context.Set(prefix+"OrgID", m.OrgID)
			context.Set(prefix+"OrgPaths", m.Paths...)
		}
		return m
	}
	caller, owner := learn("aws:Principal", w.who.Account), learn("aws:Resource", w.resourceAccount)
	if caller != nil && !w.serviceLinked {
		r.SCP = caller.SCP
	}
	if owner != nil && !w.serviceLinked {
		r.RCP = owner.RCP(w.action)
	}
	if learn("aws:Source", w.source); w.source != "" {
		context.Set("aws:SourceAccount", w.source)
		context.Set("aws:SourceArn", "arn:aws:sns:eu-west-1:"+w.source+":topic")
	}
}

// Organized returns a World in which two organizations decide with everything else. A number of Worlds in succession live in the same two.
func (g *Generator) Organized() *World {
	if g.left == 0 {
		g.left = 50
		g.organizations = []*Organization{
			g.organization("o-aaaaaaaaaa", "r-aaaa", "111122223333", "444455556666", "222233334444", "888899990000"),
			g.organization("o-bbbbbbbbbb", "r-bbbb", "555566667777", "999900001111"),
		}
	}
	g.left--
	if g.inhabitants == nil {
		h := &Generator{Rand: g.Rand, reuse: 10, expressions: g.expressions, compiled: g.compiled}
		h.accounts = []string{"777788889999"} // in no organization
		for _, o := range g.organizations {
			h.accounts = append(h.accounts, o.members()...)
		}
		h.callers = []policy.Principal{{}, {Kind: policy.Federated, Provider: "accounts.google.com"}, {Kind: policy.Service, ServiceName: "events.amazonaws.com"}}
		for _, account := range h.accounts {
			h.callers = append(h.callers, cast(account)...)
		}
		g.inhabitants = h
	}
	h := g.inhabitants
	w := h.World()
	w.organizations, w.scp, w.rcp = g.organizations, nil, nil
	w.serviceLinked = strings.Contains(w.who.Issuer, "/aws-service-role/")
	w.resourceAccount = pick(h, h.accounts...)
	if w.who.Account != "" && g.IntN(3) > 0 {
		w.resourceAccount = w.who.Account
	}
	w.action = pick(h, "kms:Encrypt", "kms:Decrypt", "s3:GetObject", "iam:GetRole", "kms:RetireGrant")
	w.resource = pick(h, "", "arn:aws:kms:eu-west-1:"+w.resourceAccount+":key/k1", "arn:aws:s3:::home/ann/a:b.txt", "arn:aws:iam::"+w.resourceAccount+":role/team/ops")
	if w.trust {
		w.action, w.resource = "sts:AssumeRole", "arn:aws:iam::"+w.resourceAccount+":role/team/ops"
	}
	if w.who.Kind == policy.Service {
		w.source = pick(h, append(h.accounts, "")...)
	}
	delete(w.context, "aws:SourceArn") // follows from the source
	// The fences are to decide, so the rest mostly allows.
	if g.IntN(4) > 0 {
		w.identity = append(slices.Clip(w.identity), g.organizations[0].Policies["p-FullAWSAccess"])
	}
	if w.resourcePolicy != nil && !w.trust && g.IntN(2) == 0 {
		principal := pick(h, Doc{"AWS": w.who.Account}, Doc{"AWS": w.who.ARN}, Doc{"AWS": "*"})
		if w.who.Account == "" {
			principal = Doc{"AWS": "*"}
		}
		w.resourcePolicy = Doc{"Version": "2012-10-17", "Statement": Doc{"Effect": "Allow", "Principal": principal, "Action": "*", "Resource": "*"}}
		if g.IntN(2) == 0 {
			w.resourcePolicy["Statement"].(Doc)["Condition"] = h.organizationCondition()
		}
	}
	return w
}

// cast is who there is in an account.
func cast(account string) []policy.Principal {
	iam, sts := "arn:aws:iam::"+account+":", "arn:aws:sts::"+account+":"
	id := func(prefix, name string) string { return prefix + name + account + "0000" }
	return []policy.Principal{
		{Kind: policy.Root, Account: account, ARN: iam + "root"},
		{Kind: policy.User, Account: account, ARN: iam + "user/ann", ID: id("AIDA", "ANN"), UserName: "ann"},
		{Kind: policy.Role, Account: account, ARN: sts + "assumed-role/ops/s1", Issuer: iam + "role/team/ops", ID: id("AROA", "OPS"), SessionName: "s1"},
		{Kind: policy.Role, Account: account, ARN: sts + "assumed-role/web/chained", Issuer: iam + "role/web", ID: id("AROA", "WEB"), SessionName: "chained", Provider: "accounts.google.com"},
		{Kind: policy.FederatedUser, Account: account, ARN: sts + "federated-user/fay", Issuer: iam + "user/ann", ID: id("AIDA", "ANN"), SessionName: "fay"},
		{Kind: policy.Role, Account: account, ARN: sts + "assumed-role/AWSServiceRoleForX/x", Issuer: iam + "role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX", ID: id("AROA", "SLR"), SessionName: "x"},
	}
}

func (o *Organization) members() (out []string) {
	for id := range o.Parents {
		if !strings.HasPrefix(id, "ou-") {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// organization puts accounts, the first of which manages, somewhere into a tree of up to five levels of units.
func (g *Generator) organization(id, root string, accounts ...string) *Organization {
	o := &Organization{ID: id, Management: accounts[0], Root: root, Parents: map[string]string{}, SCPs: g.IntN(10) > 0, RCPs: g.IntN(10) > 0,
		Policies: map[string]Doc{
			"p-FullAWSAccess":    {"Version": "2012-10-17", "Statement": []any{Doc{"Effect": "Allow", "Action": "*", "Resource": "*"}}},
			"p-RCPFullAWSAccess": {"Version": "2012-10-17", "Statement": []any{Doc{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}}},
		},
		Kinds: map[string]policy.Kind{"p-FullAWSAccess": policy.SCP, "p-RCPFullAWSAccess": policy.RCP},
	}
	places, depth := []string{root}, map[string]int{}
	for i := range g.IntN(9) {
		parent := places[len(places)-1-g.IntN(min(len(places), 3))]
		if depth[parent] == 5 {
			continue
		}
		unit := fmt.Sprintf("ou-%s-%08d", root[2:], i)
		o.Parents[unit], depth[unit] = parent, depth[parent]+1
		places = append(places, unit)
	}
	for _, account := range accounts {
		o.Parents[account] = places[len(places)-1-g.IntN(min(len(places), 4))]
	}
	for _, place := range append(places, accounts...) {
		o.Attachments = append(o.Attachments, Attachment{place, "p-RCPFullAWSAccess"}) // cannot be detached
		if g.IntN(8) > 0 {
			o.Attachments = append(o.Attachments, Attachment{place, "p-FullAWSAccess"})
		} else {
			for range g.IntN(3) { // a list of what is allowed, or nothing
				g.attach(o, place, policy.SCP, 9)
			}
		}
		if g.IntN(5) == 0 {
			g.attach(o, place, policy.SCP, 1)
		}
		if g.IntN(5) == 0 {
			g.attach(o, place, policy.RCP, 0)
		}
	}
	return o
}

func (g *Generator) attach(o *Organization, place string, kind policy.Kind, lean int) {
	id := fmt.Sprintf("p-%08d", len(o.Policies))
	d := g.document(kind, lean)
	if s, ok := d["Statement"].(Doc); ok {
		d["Statement"] = []any{s}
	}
	if kind == policy.RCP {
		statements := d["Statement"].([]any)
		d["Statement"] = statements[:len(statements)-1] // RCPFullAWSAccess allows
	}
	for _, s := range d["Statement"].([]any) {
		if g.IntN(2) == 0 {
			s.(Doc)["Condition"] = g.organizationCondition()
		}
	}
	o.Policies[id], o.Kinds[id] = d, kind
	o.Attachments = append(o.Attachments, Attachment{place, id})
}

// organizationCondition is about who belongs where.
func (g *Generator) organizationCondition() Doc {
	key := pick(g, "aws:PrincipalOrgID", "aws:PrincipalOrgID", "aws:PrincipalOrgPaths", "aws:ResourceOrgID", "aws:ResourceOrgPaths", "aws:SourceOrgID",
		"aws:SourceAccount", "aws:SourceArn", "aws:PrincipalAccount", "aws:ResourceAccount", "aws:PrincipalIsAWSService", "aws:PrincipalArn")
	set, ifExists := pick(g, "", "", "", "ForAnyValue:", "ForAllValues:"), pick(g, "", "", "IfExists")
	switch {
	case strings.HasSuffix(key, "OrgPaths"):
		return Doc{set + pick(g, "StringLike", "StringNotLike", "StringEquals") + ifExists: Doc{key: g.some("o-aaaaaaaaaa/*", "o-aaaaaaaaaa/r-aaaa/*", "o-aaaaaaaaaa/r-aaaa/",
			"o-aaaaaaaaaa/r-aaaa/ou-aaaa-00000000/*", "o-aaaaaaaaaa/*/ou-aaaa-00000001/*", "o-bbbbbbbbbb/r-bbbb/*", "o-bbbbbbbbbb/r-bbbb/ou-bbbb-00000000/", "*")}}
	case strings.HasSuffix(key, "OrgID"):
		return Doc{set + pick(g, "StringEquals", "StringNotEquals", "StringLike") + ifExists: Doc{key: g.some("o-aaaaaaaaaa", "o-aaaaaaaaaa", "o-bbbbbbbbbb", "${aws:ResourceOrgID}", "${aws:PrincipalOrgID}")}}
	case strings.HasSuffix(key, "Account"):
		return Doc{set + pick(g, "StringEquals", "StringNotEquals") + ifExists: Doc{key: g.some("111122223333", "444455556666", "555566667777", "777788889999", "${aws:ResourceAccount}", "${aws:PrincipalAccount}")}}
	case strings.HasSuffix(key, "Arn"):
		return Doc{set + pick(g, "ArnLike", "ArnNotLike", "ArnEquals") + ifExists: Doc{key: g.some("arn:aws:sns:*:111122223333:*", "arn:aws:sns:*:${aws:ResourceAccount}:topic",
			"arn:aws:iam::*:role/team/*", "arn:aws:iam::*:role/aws-service-role/*", "arn:aws:iam::444455556666:root", "arn:aws:iam::*:user/ann")}}
	}
	return Doc{"Bool" + ifExists: Doc{key: pick(g, "true", "false")}}
}

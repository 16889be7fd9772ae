package iam

import (
	"encoding/csv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

// reportAge is how long a credential report is good for: a new one is made once it is older, at most every four hours.
const reportAge = 4 * time.Hour

// GenerateCredentialReport has a report made, unless there is one that is good.
func (s *Service) GenerateCredentialReport(c *call.Call, _ *iam.GenerateCredentialReportRequest) (*iam.GenerateCredentialReportResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	rows := reportTable.In(c.Scope.Account, "")
	out := &iam.GenerateCredentialReportResponse{State: iam.ReportStateTypeStarted, Description: new("No report exists. Starting a new report generation task")}
	switch r, err := rows.Get(c.Tx()); {
	case err == nil && c.Time.Before(r.Generated.Add(reportAge)):
		return &iam.GenerateCredentialReportResponse{State: iam.ReportStateTypeComplete}, nil
	case err == nil:
		out.Description = new("The report has expired. Starting a new report generation task")
	case !missing(err):
		return nil, err
	}
	content, err := s.report(c)
	if err != nil {
		return nil, err
	}
	return out, rows.Put(c.Tx(), &credentialReport{Content: content, Generated: c.Time})
}

// GetCredentialReport returns the report.
func (s *Service) GetCredentialReport(c *call.Call, _ *iam.GetCredentialReportRequest) (*iam.GetCredentialReportResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	r, err := reportTable.In(c.Scope.Account, "").Get(c.Tx())
	switch {
	case missing(err):
		return nil, &iam.CredentialReportNotPresentException{}
	case err != nil:
		return nil, err
	case !c.Time.Before(r.Generated.Add(reportAge)):
		return nil, &iam.CredentialReportExpiredException{}
	}
	return &iam.GetCredentialReportResponse{Content: []byte(r.Content), ReportFormat: iam.ReportFormatTypeTextCsv, GeneratedTime: &r.Generated}, nil
}

// reportColumns: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html
var reportColumns = strings.Split("user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active,"+
	"access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"+
	"access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,"+
	"cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated", ",")

// report is the text of the report: a line for the root user and one for each user.
func (s *Service) report(c *call.Call) (string, error) {
	var text strings.Builder
	w := csv.NewWriter(&text)
	_ = w.Write(reportColumns) // into memory
	root, err := s.rootShape(c)
	if err != nil {
		return "", err
	}
	line := []string{"<root_account>", *root.Arn, reportTime(*root.CreateDate), "not_supported", "no_information", "not_supported", "not_supported"}
	if line, err = s.reportCredentials(c, owner{}, line); err != nil {
		return "", err
	}
	_ = w.Write(line)
	p, err := setPolicy(c)
	if err != nil {
		return "", err
	}
	for u, err := range users(c).Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return "", err
		}
		line := []string{u.Name, u.ARN(s.cfg.Partition), reportTime(u.Created)}
		if line, err = reportPassword(c, u, p, line); err != nil {
			return "", err
		}
		if line, err = s.reportCredentials(c, owner{u}, line); err != nil {
			return "", err
		}
		_ = w.Write(line)
	}
	w.Flush()
	return strings.TrimSuffix(text.String(), "\n"), nil
}

func reportTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05-07:00") }

// reportPassword adds the columns about a user's password. Nobody signs in with one yet.
func reportPassword(c *call.Call, u *identity.User, p *passwordPolicy, line []string) ([]string, error) {
	l, err := logins(c).Get(c.Tx(), u.ID)
	if missing(err) {
		return append(line, "false", notApplicable, notApplicable, notApplicable), nil
	}
	if err != nil {
		return nil, err
	}
	next := notApplicable
	if ends := p.expires(l); !ends.IsZero() {
		next = reportTime(ends)
	}
	return append(line, "true", "no_information", reportTime(l.Changed), next), nil
}

// reportCredentials adds the columns about MFA, access keys and certificates.
func (s *Service) reportCredentials(c *call.Call, o owner, line []string) ([]string, error) {
	devices, err := count(devicesOf(c, o.holder()))
	if err != nil {
		return nil, err
	}
	line = append(line, strconv.FormatBool(devices > 0))
	keys := make([]*identity.AccessKey, 0, accessKeysPerUserQuota)
	for k, err := range keysOf(c, o.name()) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	slices.SortStableFunc(keys, func(a, b *identity.AccessKey) int { return a.Created.Compare(b.Created) })
	for i := range accessKeysPerUserQuota {
		if i >= len(keys) {
			line = append(line, "false", notApplicable, notApplicable, notApplicable, notApplicable)
			continue
		}
		last, err := s.keyLastUsed(c, keys[i])
		if err != nil {
			return nil, err
		}
		date := notApplicable
		if last.LastUsedDate != nil {
			date = reportTime(*last.LastUsedDate)
		}
		line = append(line, strconv.FormatBool(!keys[i].Inactive), reportTime(keys[i].Created), date, *last.Region, *last.ServiceName)
	}
	n := 0
	for k, err := range certificatesOf(c, o) {
		if err != nil {
			return nil, err
		}
		if n < signingCertsPerUserQuota {
			line = append(line, strconv.FormatBool(!k.Inactive), reportTime(k.Uploaded))
		}
		n++
	}
	for ; n < signingCertsPerUserQuota; n++ {
		line = append(line, "false", notApplicable)
	}
	return line, nil
}

package iam_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/engine/totp"
	"github.com/holdfast-cloud/holdfast/internal/syncbuffer"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pebblestore"
)

// secrets are what callers gave or were told and nobody else may read, by what they are.
type secrets map[string][]byte

// TestNothingInTheClear has credentials of all sorts made, used, changed and refused in a cloud on disk, and looks for them in everything that it left behind:
// files, records of the store, audit records and evidence, log lines, errors.
func TestNothingInTheClear(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var log syncbuffer.Buffer
	var told bytes.Buffer // what callers were told besides their answers
	found := make(secrets)
	t.Run("Run", func(t *testing.T) {
		w := start(t, func(cfg *cloud.Config) {
			cfg.Dir, cfg.Log = dir, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		w.newUser(t, "ann")
		for _, do := range []func(*testing.T, *world, secrets) []error{keysAndSessions, passwords, devices, keyPairs} {
			for _, err := range do(t, w, found) {
				if err == nil {
					t.Error("a bad request succeeded")
				} else {
					told.WriteString(err.Error())
				}
			}
		}
		for _, e := range w.Trail(account) {
			told.Write(e.Raw)
		}
	})
	haystacks := map[string][]byte{"log": []byte(log.String()), "errors and audit records": told.Bytes()}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		haystacks[path], err = os.ReadFile(path)
		return err
	})
	ok(t)(nil, err)
	db, err := pebblestore.Open(pebblestore.Options{Dir: filepath.Join(dir, "store")})
	ok(t)(db, err)
	defer db.Close()
	var dump bytes.Buffer
	ok(t)(nil, db.View(ctx, func(r store.Reader) error {
		for kv, err := range r.Scan(nil, nil, store.ScanOptions{}) {
			if err != nil {
				return err
			}
			dump.Write(kv.Key)
			dump.Write(kv.Value)
		}
		return nil
	}))
	haystacks["store"] = dump.Bytes()
	// There is something to look through: the records that hold what was made of the secrets, and what was asked of them.
	for _, what := range []string{"$argon2id$", "ann", "phone", "site", "codecommit.amazonaws.com"} {
		if !bytes.Contains(dump.Bytes(), []byte(what)) {
			t.Errorf("%q is not in the store that is searched", what)
		}
	}
	if !bytes.Contains(told.Bytes(), []byte("ResetServiceSpecificCredential")) {
		t.Errorf("there is less to look through than there must be: %d bytes told", told.Len())
	}
	for where, hay := range haystacks {
		for what, needle := range found {
			if len(needle) < 10 {
				t.Fatalf("%s is too short to be looked for", what)
			}
			for _, form := range forms(needle) {
				if bytes.Contains(hay, form) {
					t.Errorf("the %s is in the clear in %s", what, where)
				}
			}
		}
	}
}

// forms are the ways in which bytes may be written. In base64 they look different behind one or two other bytes.
func forms(b []byte) [][]byte {
	all := [][]byte{b, []byte(hex.EncodeToString(b))}
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			text := e.EncodeToString(append(make([]byte, before), b...))
			all = append(all, []byte(text[(before*8+5)/6:len(text)-1]))
		}
	}
	return all
}

func keysAndSessions(t *testing.T, w *world, found secrets) (refusals []error) {
	cred, err := w.Config().Credentials.Retrieve(ctx)
	ok(t)(cred, err)
	found["root user's secret access key"] = []byte(cred.SecretAccessKey)
	k := must(w.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: new("ann")}))(t).AccessKey
	found["secret access key"] = []byte(*k.SecretAccessKey)
	ok(t)(w.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: new("ann"), PolicyName: new("p"), PolicyDocument: new(document(`"Action":"sts:*","Resource":"*"`))}))
	ann := w.As(*k.AccessKeyId, *k.SecretAccessKey)
	session := must(sts.NewFromConfig(ann).GetSessionToken(ctx, nil))(t).Credentials
	found["session's secret access key"], found["session token"] = []byte(*session.SecretAccessKey), []byte(*session.SessionToken)
	// Used as they should not be: they are in the header of the request that is refused.
	temporary := iam.NewFromConfig(w.Session(*session.AccessKeyId, *session.SecretAccessKey, *session.SessionToken))
	_, err = temporary.ListUsers(ctx, nil)
	refusals = append(refusals, err)
	_, err = iam.NewFromConfig(w.Session(*session.AccessKeyId, "wrong", *session.SessionToken)).ListUsers(ctx, nil)
	refusals = append(refusals, err)
	_, err = iam.NewFromConfig(ann).CreateAccessKey(ctx, &iam.CreateAccessKeyInput{})
	refusals = append(refusals, err)
	ok(t)(w.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: new("ann"), AccessKeyId: k.AccessKeyId, Status: types.StatusTypeInactive}))
	ok(t)(w.GenerateCredentialReport(ctx, nil))
	return refusals
}

func passwords(t *testing.T, w *world, found secrets) (refusals []error) {
	const first, second, third, weak = "First-pass-123456", "Second-pass-123456", "Third-pass-123456", "weakpassword"
	for _, p := range []string{first, second, third, weak} {
		found["password "+p] = []byte(p)
	}
	create := func(c *iam.Client, password string) error {
		_, err := c.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: new("ann"), Password: &password})
		return err
	}
	refusals = append(refusals, create(w.user("nobody"), first), create(w.Client, weak), create(w.Client, third+strings.Repeat("x", 200)))
	ok(t)(nil, create(w.Client, first))
	ok(t)(w.UpdateLoginProfile(ctx, &iam.UpdateLoginProfileInput{UserName: new("ann"), Password: new(second)}))
	ok(t)(w.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: new("ann"), PolicyName: new("p"), PolicyDocument: new(document(`"Action":"iam:ChangePassword","Resource":"*"`))}))
	k := must(w.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: new("ann")}))(t).AccessKey
	found["second secret access key"] = []byte(*k.SecretAccessKey)
	ann := iam.NewFromConfig(w.As(*k.AccessKeyId, *k.SecretAccessKey))
	change := func(old, next string) error {
		_, err := ann.ChangePassword(ctx, &iam.ChangePasswordInput{OldPassword: &old, NewPassword: &next})
		return err
	}
	refusals = append(refusals, change(first, third), change(second, weak))
	ok(t)(nil, change(second, third))
	service := must(w.CreateServiceSpecificCredential(ctx, &iam.CreateServiceSpecificCredentialInput{UserName: new("ann"), ServiceName: new("codecommit.amazonaws.com")}))(t).ServiceSpecificCredential
	found["service password"] = []byte(*service.ServicePassword)
	reset := must(w.ResetServiceSpecificCredential(ctx, &iam.ResetServiceSpecificCredentialInput{UserName: new("ann"), ServiceSpecificCredentialId: service.ServiceSpecificCredentialId}))(t)
	found["service password after it was reset"] = []byte(*reset.ServiceSpecificCredential.ServicePassword)
	api := must(w.CreateServiceSpecificCredential(ctx, &iam.CreateServiceSpecificCredentialInput{UserName: new("ann"), ServiceName: new("bedrock.amazonaws.com"), CredentialAgeDays: aws.Int32(30)}))(t).ServiceSpecificCredential
	found["API key"] = []byte(*api.ServiceCredentialSecret)
	return refusals
}

func devices(t *testing.T, w *world, found secrets) (refusals []error) {
	d := must(w.CreateVirtualMFADevice(ctx, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: new("phone")}))(t).VirtualMFADevice
	seed, err := totp.ParseSeed(string(d.Base32StringSeed))
	ok(t)(nil, err)
	found["seed as base32"], found["seed"], found["QR code"] = d.Base32StringSeed, seed, d.QRCodePNG
	_, err = w.EnableMFADevice(ctx, &iam.EnableMFADeviceInput{
		UserName: new("ann"), SerialNumber: d.SerialNumber, AuthenticationCode1: new("000000"), AuthenticationCode2: new("000000"),
	})
	refusals = append(refusals, err)
	w.enable(t, "ann", *d.SerialNumber, seed)
	return refusals
}

func keyPairs(t *testing.T, w *world, found secrets) (refusals []error) {
	body, key := certified(t, "a.example", w.Now().Add(time.Hour))
	_, wrong := certified(t, "other", w.Now().Add(time.Hour))
	for what, text := range map[string]string{"private key": key, "private key of another": wrong} {
		// A line from the middle: the first ones say which algorithm it is.
		found[what] = []byte(strings.Split(text, "\n")[2])
	}
	upload := func(c *iam.Client, body, key string) error {
		_, err := c.UploadServerCertificate(ctx, &iam.UploadServerCertificateInput{ServerCertificateName: new("site"), CertificateBody: &body, PrivateKey: &key})
		return err
	}
	ok(t)(nil, upload(w.Client, body, key))
	refusals = append(refusals, upload(w.Client, body, wrong), upload(w.Client, body, "junk"), upload(w.user("no"), body, key))
	return refusals
}

package kms_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/cloud"
)

const (
	isConnected    = types.ConnectionStateTypeConnected
	isConnecting   = types.ConnectionStateTypeConnecting
	isDisconnected = types.ConnectionStateTypeDisconnected
	hasFailed      = types.ConnectionStateTypeFailed
)

func TestCreateCustomKeyStore(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	w := start(t, endpointServices, func(cfg *cloud.Config) {
		services := cfg.ExternalKeyStores.Connect
		p.reached(cfg)
		for name, at := range services {
			cfg.ExternalKeyStores.Connect[name] = at
		}
	})
	id := w.store(t, publicStore("first"))
	t.Run("OK", func(t *testing.T) {
		if len(id) != 21 || !strings.HasPrefix(id, "cks-") {
			t.Errorf("the ID is %s", id)
		}
		asked := p.requests("health")
		if len(asked) != 1 || asked[0].body.RequestMetadata["kmsOperation"] != "CreateCustomKeyStore" || asked[0].body.RequestMetadata["kmsRequestId"] == "" {
			t.Errorf("the proxy was asked %+v", asked)
		}
	})
	change := func(f func(*kms.CreateCustomKeyStoreInput)) *kms.CreateCustomKeyStoreInput {
		in := publicStore("other")
		in.XksProxyUriPath = aws.String("/other/kms/xks/v1")
		f(in)
		return in
	}
	ok(t)(w.CreateCustomKeyStore(ctx, through("a")))
	for name, c := range map[string]struct {
		in   *kms.CreateCustomKeyStoreInput
		code string
	}{
		"NameInUse":       {change(func(in *kms.CreateCustomKeyStoreInput) { in.CustomKeyStoreName = aws.String("first") }), "CustomKeyStoreNameInUseException"},
		"URIInUse":        {publicStore("other"), "XksProxyUriInUseException"},
		"EndpointInUse":   {change(func(in *kms.CreateCustomKeyStoreInput) { in.XksProxyUriEndpoint = through("a").XksProxyUriEndpoint }), "XksProxyUriEndpointInUseException"},
		"ServiceInUse":    {change(func(in *kms.CreateCustomKeyStoreInput) { *in = *through("a"); in.CustomKeyStoreName = aws.String("b") }), "XksProxyVpcEndpointServiceInUseException"},
		"ServiceNotFound": {through("unknown"), "XksProxyVpcEndpointServiceNotFoundException"},
		"NoService":       {change(func(in *kms.CreateCustomKeyStoreInput) { in.XksProxyConnectivity = "VPC_ENDPOINT_SERVICE" }), "ValidationException"},
		"ServiceInPublic": {change(func(in *kms.CreateCustomKeyStoreInput) {
			in.XksProxyVpcEndpointServiceName = aws.String(endpointService("b"))
		}), "ValidationException"},
		"NoPath":       {change(func(in *kms.CreateCustomKeyStoreInput) { in.XksProxyUriPath = nil }), "ValidationException"},
		"OtherVersion": {change(func(in *kms.CreateCustomKeyStoreInput) { in.XksProxyUriPath = aws.String("/kms/xks/v2") }), "ValidationException"},
		"PlainHTTP":    {change(func(in *kms.CreateCustomKeyStoreInput) { in.XksProxyUriEndpoint = aws.String("http://example.com") }), "ValidationException"},
		"Port": {change(func(in *kms.CreateCustomKeyStoreInput) {
			in.XksProxyUriEndpoint = aws.String("https://example.com:8443")
		}), "ValidationException"},
		"ShortSecret": {change(func(in *kms.CreateCustomKeyStoreInput) {
			in.XksProxyAuthenticationCredential.RawSecretAccessKey = aws.String("short")
		}), "ValidationException"},
		"ClusterInXKS":    {change(func(in *kms.CreateCustomKeyStoreInput) { in.CloudHsmClusterId = aws.String("cluster-1a23b4cdefg") }), "ValidationException"},
		"ProxyInCloudHSM": {change(func(in *kms.CreateCustomKeyStoreInput) { in.CustomKeyStoreType = types.CustomKeyStoreTypeAwsCloudhsm }), "ValidationException"},
		"CloudHSMAlone":   {&kms.CreateCustomKeyStoreInput{CustomKeyStoreName: aws.String("hsm")}, "ValidationException"},
		"WrongPath":       {change(func(*kms.CreateCustomKeyStoreInput) {}), "XksProxyInvalidConfigurationException"},
		"NoSuchName": {change(func(in *kms.CreateCustomKeyStoreInput) {
			in.XksProxyUriEndpoint = aws.String("https://no-such-name.invalid")
		}), "XksProxyUriUnreachableException"},
		"Loopback": {change(func(in *kms.CreateCustomKeyStoreInput) { in.XksProxyUriEndpoint = aws.String("https://localhost") }), "XksProxyUriUnreachableException"},
		"URIInUseInCapitals": {change(func(in *kms.CreateCustomKeyStoreInput) {
			in.XksProxyUriEndpoint, in.XksProxyUriPath = aws.String("https://"+strings.ToUpper(proxyHost)), aws.String(proxyPrefix+"/kms/xks/v1")
		}), "XksProxyUriInUseException"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, c.code, "-")(w.CreateCustomKeyStore(ctx, c.in)) })
	}
	t.Run("Limit", func(t *testing.T) {
		refusedBy := start(t, endpointServices, func(cfg *cloud.Config) {
			for i := range 11 {
				cfg.ExternalKeyStores.Connect[endpointService(string(rune('a'+i)))] = "127.0.0.1:1"
			}
		})
		for i := range 10 {
			refusedBy.store(t, through(string(rune('a'+i))))
		}
		refused(t, "LimitExceededException", "-")(refusedBy.CreateCustomKeyStore(ctx, through("k")))
	})
	t.Run("Audit", func(t *testing.T) {
		r := w.recorded(t, account, "CreateCustomKeyStore", "")
		for _, secret := range []string{proxyID, proxySecret} {
			if strings.Contains(string(r.Raw), secret) {
				t.Errorf("the record tells the credential: %s", r.Raw)
			}
		}
		if !strings.Contains(string(r.Raw), "https://") {
			t.Errorf("the record does not tell the endpoint: %s", r.Raw)
		}
	})
}

// TestProxyFaults is the table of the specification: what a proxy does, and what the operations on stores, CreateKey, cryptographic operations and connecting make of it.
func TestProxyFaults(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "key", "second")
	w := start(t, p.reached)
	id := w.connected(t, "store")
	key := w.key(t, standsFor(id, "key"))
	blob := w.encrypt(t, key, "text")
	other := w.store(t, func() *kms.CreateCustomKeyStoreInput {
		p.behave(func(op string, w http.ResponseWriter, _ *http.Request) bool {
			if op == "" {
				_, _ = w.Write([]byte(`{"xksProxyFleetSize":1,"xksProxyVendor":"T","xksProxyModel":"T","ekmVendor":"T","ekmFleetDetails":[{"id":"1","model":"T","healthStatus":"ACTIVE"}]}`))
			}
			return op == ""
		}, nil)
		in := publicStore("other")
		in.XksProxyUriPath = aws.String("/other/kms/xks/v1")
		return in
	}())
	garbage := func(status int, body string) func(string, http.ResponseWriter, *http.Request) bool {
		return func(_ string, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	const invalidState, storeState, keyConfig = "KMSInvalidStateException", "CustomKeyStoreInvalidStateException", "XksKeyInvalidConfigurationException"
	for name, f := range map[string]struct {
		fault      func(string, http.ResponseWriter, *http.Request) bool
		store, key string
		code       types.ConnectionErrorCodeType
		words      string
	}{
		"Validation":           {failing(400, "ValidationException"), "XksProxyInvalidResponseException", storeState, "XKS_PROXY_INVALID_RESPONSE", "cannot interpret the response"},
		"InvalidState":         {failing(400, "InvalidStateException"), "XksProxyInvalidConfigurationException", keyConfig, "XKS_PROXY_INVALID_CONFIGURATION", "is not enabled in the external key manager"},
		"InvalidKeyUsage":      {failing(400, "InvalidKeyUsageException"), "XksProxyInvalidResponseException", storeState, "XKS_PROXY_INVALID_RESPONSE", "does not support the requested operation"},
		"Authentication":       {failing(401, "AuthenticationFailedException"), "XksProxyIncorrectAuthenticationCredentialException", storeState, "INVALID_CREDENTIALS", "could not authenticate AWS KMS"},
		"AccessDenied":         {failing(403, "AccessDeniedException"), "XksProxyInvalidConfigurationException", invalidState, "XKS_PROXY_ACCESS_DENIED", "denied access to the operation"},
		"KeyNotFound":          {failing(404, "KeyNotFoundException"), "XksProxyInvalidResponseException", "XksKeyNotFoundException", "XKS_PROXY_INVALID_RESPONSE", "was not found in its external key manager"},
		"InvalidURIPath":       {failing(404, "InvalidUriPathException"), "XksProxyInvalidConfigurationException", storeState, "XKS_PROXY_INVALID_CONFIGURATION", "because of an invalid URI path"},
		"UnsupportedOperation": {failing(501, "UnsupportedOperationException"), "XksProxyInvalidResponseException", keyConfig, "XKS_PROXY_INVALID_RESPONSE", "does not support the requested operation"},
		"DependencyTimeout":    {failing(503, "DependencyTimeoutException"), "XksProxyUriUnreachableException", storeState, "XKS_PROXY_TIMED_OUT", "did not respond to the request in the time allotted"},
		"Throttling":           {failing(429, "ThrottlingException"), "XksProxyUriUnreachableException", storeState, "XKS_PROXY_NOT_REACHABLE", "due to a very high request rate"},
		"Internal":             {failing(500, "InternalException"), "XksProxyInvalidResponseException", storeState, "XKS_PROXY_NOT_REACHABLE", "cannot communicate with the external key manager"},
		"Unknown":              {failing(418, "TeapotException"), "XksProxyInvalidResponseException", storeState, "XKS_PROXY_INVALID_RESPONSE", "cannot interpret the response"},
		"HTML":                 {garbage(200, "<html>"), "XksProxyInvalidResponseException", storeState, "XKS_PROXY_INVALID_RESPONSE", "cannot interpret the response"},
		"Nothing":              {garbage(200, "{}"), "XksProxyInvalidResponseException", storeState, "XKS_PROXY_INVALID_RESPONSE", "cannot interpret the response"},
		"Huge":                 {garbage(200, `{"plaintext":"`+strings.Repeat("A", 1<<20)+`"}`), "XksProxyInvalidResponseException", storeState, "XKS_PROXY_INVALID_RESPONSE", "cannot interpret the response"},
		"CutOff": {func(string, http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, "XksProxyUriUnreachableException", storeState, "XKS_PROXY_NOT_REACHABLE",
			"AWS KMS cannot communicate with the external key store proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			p.behave(f.fault, nil)
			defer p.behave(nil, nil)
			told := func(code string) func(any, error) {
				return func(out any, err error) {
					t.Helper()
					refused(t, code, "-")(out, err)
					if err != nil && (!strings.Contains(err.Error(), f.words) || strings.Contains(err.Error(), "as the test wants it")) {
						t.Errorf("the message is %v, want it to say %q", err, f.words)
					}
				}
			}
			told(invalidState)(w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: []byte("x")}))
			told(invalidState)(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
			told(invalidState)(w.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256}))
			if name != "InvalidKeyUsage" { // not an error of GetKeyMetadata
				told(f.key)(w.CreateKey(ctx, &kms.CreateKeyInput{Origin: types.OriginTypeExternalKeyStore, CustomKeyStoreId: &id, XksKeyId: aws.String("second")}))
			}
			refused(t, f.store, "-")(w.UpdateCustomKeyStore(ctx, &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: &other, XksProxyUriPath: aws.String("/third/kms/xks/v1")}))
			if st := w.connect(t, other); st.ConnectionState != hasFailed || st.ConnectionErrorCode != f.code {
				t.Errorf("connecting ended %s, %s, want %s", st.ConnectionState, st.ConnectionErrorCode, f.code)
			}
			w.disconnect(t, other)
		})
	}
	w.decrypts(t, blob, "text")
}

func TestConnect(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "key")
	w := start(t, p.reached)
	id := w.store(t, publicStore("store"))
	t.Run("NotFound", func(t *testing.T) {
		refused(t, "CustomKeyStoreNotFoundException", "-")(w.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: aws.String("cks-1234567890abcdef0")}))
	})
	t.Run("OK", func(t *testing.T) {
		if st := w.connect(t, id); st.ConnectionState != isConnected || st.ConnectionErrorCode != "" {
			t.Errorf("the store is %s, %s", st.ConnectionState, st.ConnectionErrorCode)
		}
		asked := p.requests("health")
		last := asked[len(asked)-1].body.RequestMetadata
		if r := w.recorded(t, account, "ConnectCustomKeyStore", ""); last["kmsOperation"] != "ConnectCustomKeyStore" || !strings.Contains(string(r.Raw), last["kmsRequestId"]) {
			t.Errorf("the proxy was told %v, which is not in %s", last, r.Raw)
		}
	})
	t.Run("Again", func(t *testing.T) {
		if st := w.connect(t, id); st.ConnectionState != isConnected {
			t.Errorf("the store is %s", st.ConnectionState)
		}
	})
	t.Run("Failed", func(t *testing.T) {
		w.disconnect(t, id)
		p.behave(nil, func(_ string, answer map[string]any) {
			for _, m := range answer["ekmFleetDetails"].([]any) {
				m.(map[string]any)["healthStatus"] = "UNAVAILABLE"
			}
		})
		if st := w.connect(t, id); st.ConnectionState != hasFailed || st.ConnectionErrorCode != types.ConnectionErrorCodeTypeXksProxyNotReachable {
			t.Errorf("the store is %s, %s", st.ConnectionState, st.ConnectionErrorCode)
		}
		p.behave(nil, nil)
		refused(t, "CustomKeyStoreInvalidStateException", "-")(w.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &id}))
		w.disconnect(t, id)
		if st := w.connect(t, id); st.ConnectionState != isConnected {
			t.Errorf("the store is %s", st.ConnectionState)
		}
	})
	t.Run("ThroughService", func(t *testing.T) {
		in := through("proxy")
		in.XksProxyUriEndpoint = aws.String("https://" + proxyHost)
		w.disconnect(t, id)
		ok(t)(w.DeleteCustomKeyStore(ctx, &kms.DeleteCustomKeyStoreInput{CustomKeyStoreId: &id}))
		before := len(p.requests("health"))
		behind := w.store(t, in)
		if len(p.requests("health")) != before {
			t.Error("the proxy was asked before the store is connected")
		}
		if st := w.connect(t, behind); st.ConnectionState != isConnected {
			t.Errorf("the store is %s: %s", st.ConnectionState, st.ConnectionErrorCode)
		}
	})
}

func TestDisconnect(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "key", "second")
	w := start(t, p.reached)
	id := w.connected(t, "store")
	key := w.key(t, standsFor(id, "key"))
	blob := w.encrypt(t, key, "text")
	w.alias(t, "alias/outside", key)
	w.disconnect(t, id)
	state := func(want types.KeyState) {
		t.Helper()
		out, err := w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})
		ok(t)(out, err)
		if out.KeyMetadata.KeyState != want || out.KeyMetadata.Enabled != (want == types.KeyStateEnabled) {
			t.Errorf("the key is %s (enabled: %t), want %s", out.KeyMetadata.KeyState, out.KeyMetadata.Enabled, want)
		}
	}
	state(types.KeyStateUnavailable)
	const words = "This KMS key is in a custom key store that is not connected to its external key store proxy. Connect the external key store and try the request again."
	refused(t, "KMSInvalidStateException", words)(w.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String("alias/outside"), Plaintext: []byte("x")}))
	refused(t, "KMSInvalidStateException", words)(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
	refused(t, "KMSInvalidStateException", words)(w.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: &key, KeySpec: types.DataKeySpecAes256}))
	refused(t, "CustomKeyStoreInvalidStateException", words)(w.CreateKey(ctx, &kms.CreateKeyInput{Origin: types.OriginTypeExternalKeyStore, CustomKeyStoreId: &id, XksKeyId: aws.String("second")}))
	refused(t, "CustomKeyStoreInvalidStateException", "-")(w.DisconnectCustomKeyStore(ctx, &kms.DisconnectCustomKeyStoreInput{CustomKeyStoreId: &id}))
	refused(t, "CustomKeyStoreNotFoundException", "-")(w.DisconnectCustomKeyStore(ctx, &kms.DisconnectCustomKeyStoreInput{CustomKeyStoreId: aws.String("cks-1234567890abcdef0")}))
	// What needs no key outside goes on, and is seen when the store is connected.
	ok(t)(w.TagResource(ctx, &kms.TagResourceInput{KeyId: &key, Tags: []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("1")}}}))
	ok(t)(w.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: &key, Description: aws.String("outside")}))
	grant(t, w.Client, key, "arn:aws:iam::"+account+":root", nil, opEncrypt)
	ok(t)(w.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &key}))
	state(types.KeyStateUnavailable)
	w.connect(t, id)
	state(types.KeyStateDisabled)
	ok(t)(w.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &key}))
	w.decrypts(t, blob, "text")
	// A key that waits to be deleted is told to do so, connected or not.
	w.schedule(t, key)
	w.disconnect(t, id)
	state(types.KeyStatePendingDeletion)
	ok(t)(w.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &key}))
	state(types.KeyStateUnavailable)
}

func TestDescribeCustomKeyStores(t *testing.T) {
	t.Parallel()
	w := start(t, endpointServices)
	a, b := w.store(t, through("a")), w.store(t, through("b"))
	for _, in := range []*kms.DescribeCustomKeyStoresInput{{CustomKeyStoreId: &a}, {CustomKeyStoreName: aws.String("a")}} {
		out, err := w.DescribeCustomKeyStores(ctx, in)
		ok(t)(out, err)
		e := out.CustomKeyStores[0]
		x := e.XksProxyConfiguration
		if len(out.CustomKeyStores) != 1 || *e.CustomKeyStoreId != a || *e.CustomKeyStoreName != "a" || e.ConnectionState != isDisconnected || e.CreationDate == nil || e.CustomKeyStoreType != types.CustomKeyStoreTypeExternalKeyStore ||
			*x.AccessKeyId != proxyID || *x.UriEndpoint != "https://a.example.com" || *x.UriPath != proxyPrefix+"/kms/xks/v1" || *x.VpcEndpointServiceName != endpointService("a") || *x.VpcEndpointServiceOwner != account {
			t.Errorf("the store is %+v, %+v", e, x)
		}
	}
	seen := map[string]bool{}
	in := &kms.DescribeCustomKeyStoresInput{Limit: aws.Int32(1)}
	for range 2 {
		out, err := w.DescribeCustomKeyStores(ctx, in)
		ok(t)(out, err)
		seen[*out.CustomKeyStores[0].CustomKeyStoreId] = true
		in.Marker = out.NextMarker
		if out.Truncated != (out.NextMarker != nil) {
			t.Errorf("truncated is %t", out.Truncated)
		}
	}
	if !seen[a] || !seen[b] || in.Marker != nil {
		t.Errorf("the pages have %v", seen)
	}
	refused(t, "CustomKeyStoreNotFoundException", "-")(w.DescribeCustomKeyStores(ctx, &kms.DescribeCustomKeyStoresInput{CustomKeyStoreName: aws.String("c")}))
	refused(t, "ValidationException", "-")(w.DescribeCustomKeyStores(ctx, &kms.DescribeCustomKeyStoresInput{CustomKeyStoreName: aws.String("a"), CustomKeyStoreId: &a}))
	refused(t, "InvalidMarkerException", "-")(w.DescribeCustomKeyStores(ctx, &kms.DescribeCustomKeyStoresInput{Marker: aws.String("x")}))
	elsewhere := kms.NewFromConfig(w.Root(other))
	refused(t, "CustomKeyStoreNotFoundException", "-")(elsewhere.DescribeCustomKeyStores(ctx, &kms.DescribeCustomKeyStoresInput{CustomKeyStoreId: &a}))
}

func TestUpdateCustomKeyStore(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "key")
	w := start(t, p.reached)
	id := w.connected(t, "store")
	key := w.key(t, standsFor(id, "key"))
	blob := w.encrypt(t, key, "text")
	update := func(f func(*kms.UpdateCustomKeyStoreInput)) (*kms.UpdateCustomKeyStoreOutput, error) {
		in := &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: &id}
		f(in)
		return w.UpdateCustomKeyStore(ctx, in)
	}
	t.Run("WhileConnected", func(t *testing.T) {
		ok(t)(update(func(in *kms.UpdateCustomKeyStoreInput) { in.NewCustomKeyStoreName = aws.String("renamed") }))
		refused(t, "CustomKeyStoreInvalidStateException", "-")(update(func(in *kms.UpdateCustomKeyStoreInput) { in.XksProxyUriEndpoint = aws.String("https://example.org") }))
		refused(t, "XksProxyInvalidConfigurationException", "-")(update(func(in *kms.UpdateCustomKeyStoreInput) { in.XksProxyUriPath = aws.String("/other/kms/xks/v1") }))
		wrong := &types.XksProxyAuthenticationCredentialType{AccessKeyId: aws.String(proxyID), RawSecretAccessKey: aws.String(strings.Repeat("wrong", 10))}
		refused(t, "XksProxyIncorrectAuthenticationCredentialException", "-")(update(func(in *kms.UpdateCustomKeyStoreInput) { in.XksProxyAuthenticationCredential = wrong }))
		ok(t)(update(func(in *kms.UpdateCustomKeyStoreInput) {
			in.XksProxyAuthenticationCredential = publicStore("").XksProxyAuthenticationCredential
		}))
		if st := w.shown(t, id); *st.CustomKeyStoreName != "renamed" || st.ConnectionState != isConnected || *st.XksProxyConfiguration.UriPath != proxyPrefix+"/kms/xks/v1" {
			t.Errorf("the store is %+v", st)
		}
		w.decrypts(t, blob, "text")
	})
	w.disconnect(t, id)
	t.Run("WhileDisconnected", func(t *testing.T) {
		refused(t, "ValidationException", "-")(update(func(in *kms.UpdateCustomKeyStoreInput) { in.XksProxyConnectivity = "VPC_ENDPOINT_SERVICE" }))
		refused(t, "XksProxyVpcEndpointServiceNotFoundException", "-")(update(func(in *kms.UpdateCustomKeyStoreInput) {
			in.XksProxyConnectivity, in.XksProxyVpcEndpointServiceName = "VPC_ENDPOINT_SERVICE", aws.String(endpointService("unknown"))
		}))
		ok(t)(update(func(in *kms.UpdateCustomKeyStoreInput) {
			in.XksProxyConnectivity, in.XksProxyVpcEndpointServiceName = "VPC_ENDPOINT_SERVICE", aws.String(endpointService("proxy"))
		}))
		if st := w.connect(t, id); st.ConnectionState != isConnected || *st.XksProxyConfiguration.VpcEndpointServiceName != endpointService("proxy") {
			t.Errorf("the store is %+v", st)
		}
		w.decrypts(t, blob, "text")
		w.disconnect(t, id)
		ok(t)(update(func(in *kms.UpdateCustomKeyStoreInput) { in.XksProxyConnectivity = "PUBLIC_ENDPOINT" }))
		if st := w.shown(t, id); st.XksProxyConfiguration.VpcEndpointServiceName != nil || st.XksProxyConfiguration.VpcEndpointServiceOwner != nil {
			t.Errorf("the store is %+v", st.XksProxyConfiguration)
		}
	})
	t.Run("Refused", func(t *testing.T) {
		refused(t, "CustomKeyStoreNotFoundException", "-")(w.UpdateCustomKeyStore(ctx, &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: aws.String("cks-1234567890abcdef0")}))
		refused(t, "ValidationException", "-")(update(func(in *kms.UpdateCustomKeyStoreInput) { in.KeyStorePassword = aws.String("password") }))
		p.behave(func(op string, w http.ResponseWriter, r *http.Request) bool { return false }, nil)
		in := through("proxy")
		in.CustomKeyStoreName = aws.String("second")
		w.store(t, in)
		refused(t, "CustomKeyStoreNameInUseException", "-")(update(func(in *kms.UpdateCustomKeyStoreInput) { in.NewCustomKeyStoreName = aws.String("second") }))
	})
}

func TestDeleteCustomKeyStore(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "key")
	w := start(t, p.reached)
	id := w.connected(t, "store")
	key := w.key(t, standsFor(id, "key"))
	in := &kms.DeleteCustomKeyStoreInput{CustomKeyStoreId: &id}
	refused(t, "CustomKeyStoreHasCMKsException", "-")(w.DeleteCustomKeyStore(ctx, in))
	w.schedule(t, key)
	refused(t, "CustomKeyStoreHasCMKsException", "-")(w.DeleteCustomKeyStore(ctx, in))
	w.Advance(31 * day)
	refused(t, "CustomKeyStoreInvalidStateException", "-")(w.DeleteCustomKeyStore(ctx, in))
	again := w.key(t, standsFor(id, "key")) // nothing holds it any more
	w.schedule(t, again)
	w.Advance(31 * day)
	w.disconnect(t, id)
	ok(t)(w.DeleteCustomKeyStore(ctx, in))
	refused(t, "CustomKeyStoreNotFoundException", "-")(w.DeleteCustomKeyStore(ctx, in))
	w.store(t, publicStore("store")) // its name and its proxy are free
}

// TestStoresSurvive restarts a cloud with a store in each state, and in the middle of connecting.
func TestStoresSurvive(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "key")
	dir := t.TempDir()
	onDisk := func(cfg *cloud.Config) { p.reached(cfg); cfg.Dir = dir }
	var id, key string
	var blob []byte
	hold := make(chan struct{})
	t.Run("Connected", func(t *testing.T) {
		w := start(t, onDisk)
		id = w.connected(t, "store")
		key = w.key(t, standsFor(id, "key"))
		blob = w.encrypt(t, key, "text")
	})
	t.Run("StillConnected", func(t *testing.T) {
		w := start(t, onDisk)
		w.decrypts(t, blob, "text")
		w.disconnect(t, id)
	})
	t.Run("StillDisconnected", func(t *testing.T) {
		w := start(t, onDisk)
		if st := w.shown(t, id); st.ConnectionState != isDisconnected {
			t.Errorf("the store is %s", st.ConnectionState)
		}
		p.behave(failing(401, "AuthenticationFailedException"), nil)
		w.connect(t, id)
	})
	t.Run("StillFailed", func(t *testing.T) {
		w := start(t, onDisk)
		if st := w.shown(t, id); st.ConnectionState != hasFailed || st.ConnectionErrorCode != types.ConnectionErrorCodeTypeInvalidCredentials {
			t.Errorf("the store is %s: %s", st.ConnectionState, st.ConnectionErrorCode)
		}
		w.disconnect(t, id)
		// The proxy does not answer while the cloud goes down.
		reached := make(chan struct{}, 1)
		p.behave(func(_ string, _ http.ResponseWriter, r *http.Request) bool {
			reached <- struct{}{}
			select {
			case <-hold:
			case <-r.Context().Done():
			}
			return false
		}, nil)
		ok(t)(w.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &id}))
		select {
		case <-reached:
		case <-time.After(time.Minute):
			t.Error("the proxy was never asked")
		}
		if st := w.shown(t, id); st.ConnectionState != isConnecting {
			t.Errorf("the store is %s", st.ConnectionState)
		}
	})
	close(hold)
	p.behave(nil, nil)
	t.Run("FinishesConnecting", func(t *testing.T) {
		w := start(t, onDisk)
		if st := w.settled(t, id); st.ConnectionState != isConnected {
			t.Errorf("the store is %s: %s", st.ConnectionState, st.ConnectionErrorCode)
		}
		w.decrypts(t, blob, "text")
	})
}

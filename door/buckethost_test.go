package door

import "testing"

func TestParseBucketHost(t *testing.T) {
	for host, want := range map[string]bucketHost{
		"s3.amazonaws.com":                          {},
		"s3.eu-central-1.amazonaws.com":             {region: "eu-central-1"},
		"s3.cn-north-1.amazonaws.com.cn":            {region: "cn-north-1"},
		"s3.dualstack.eu-central-1.amazonaws.com":   {region: "eu-central-1"},
		"logs.s3.amazonaws.com":                     {bucket: "logs"},
		"logs.s3.eu-central-1.amazonaws.com":        {"logs", "eu-central-1"},
		"my.logs.s3.eu-central-1.amazonaws.com:443": {"my.logs", "eu-central-1"},
		"a.s3.b.s3.amazonaws.com":                   {bucket: "a.s3.b"},
		"logs.s3.cloud.example.com":                 {bucket: "logs"},
		"Logs.S3.localhost:4566":                    {bucket: "logs"},
		"logs.localhost":                            {bucket: "logs"},
		"my.logs.localhost:4566":                    {bucket: "my.logs"},
		"s3.localhost":                              {},
		"localhost":                                 {},
		"localhost:4566":                            {},
		"127.0.0.1:4566":                            {},
		"[::1]:4566":                                {},
		"cloud.example.com":                         {},
		"example.s3":                                {},
		"":                                          {},
		"..":                                        {},
	} {
		if got := parseBucketHost(host); got != want {
			t.Errorf("%q = %+v, want %+v", host, got, want)
		}
	}
}

func FuzzParseBucketHost(f *testing.F) {
	f.Add("logs.s3.eu-central-1.amazonaws.com:443")
	f.Add("[::1%25eth0]:80")
	f.Fuzz(func(t *testing.T, host string) {
		if h := parseBucketHost(host); h.bucket == "" && h.bucketPath("/x") != "/x" {
			t.Errorf("%q moves a path", host)
		}
	})
}

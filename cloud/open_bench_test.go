package cloud_test

import (
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/holdfast-cloud/holdfast/cloud"
)

// BenchmarkOpen10000 is a start over ten thousand keys, up to the answer to the first Encrypt.
func BenchmarkOpen10000(b *testing.B) {
	dir := b.TempDir()
	c := open(b, cloud.Config{Dir: dir, Dev: true})
	k := client(b, c, "test", "test")
	var wg sync.WaitGroup
	var key string
	for w := range 16 {
		wg.Go(func() {
			for range 10_000 / 16 {
				out, err := k.CreateKey(b.Context(), &kms.CreateKeyInput{})
				if err != nil {
					b.Errorf("CreateKey: %v", err)
					return
				}
				if w == 0 {
					key = *out.KeyMetadata.KeyId
				}
			}
		})
	}
	wg.Wait()
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c := open(b, cloud.Config{Dir: dir, Dev: true})
		server := httptest.NewServer(c)
		encrypt(b, clientAt(server.URL, "test", "test"), key, "hello")
		b.StopTimer()
		server.Close()
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

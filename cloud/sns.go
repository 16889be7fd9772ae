package cloud

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	lambdaapi "github.com/holdfast-cloud/holdfast/api/lambda"
	sqsapi "github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/outbound"
	"github.com/holdfast-cloud/holdfast/service/sns"
)

func (c *core) openSNS(cfg Config, partition string) ([]door.Room, error) {
	url := strings.TrimSuffix(cmp.Or(cfg.SNSURL, cfg.PublicURL), "/")
	config := sns.Config{
		Store: c.store, Seal: c.keyring, Principals: c.directory, Partition: partition, Meter: c.meter, HTTP: outbound.NewClient(cfg.Webhooks),
		SQS: sqsapi.Client{Transport: doorway{c}}, KMS: kmsapi.Client{Transport: doorway{c}}, Lambda: lambdaapi.Client{Transport: doorway{c}},
		URL: func(region string) string { return strings.ReplaceAll(url, "{region}", region) },
	}
	if cfg.Mail != nil {
		config.Mail = cfg.Mail
	}
	topics, err := sns.New(config)
	if err != nil {
		return nil, err
	}
	c.topics = topics
	c.caches["filter_policies"] = topics.CacheStats
	return []door.Room{topics.Room()}, nil
}

// signingCertificate answers those who verify messages of SNS.
func (c *Cloud) signingCertificate(w http.ResponseWriter, r *http.Request) {
	core, release := c.hold()
	defer release()
	pem, err := core.topics.Certificate(r.Context(), strings.TrimPrefix(r.URL.Path, "/"))
	if errors.Is(err, sns.ErrNoCertificate) {
		reply(w, http.StatusNotFound, problem{"there is no such certificate"})
		return
	}
	if err != nil {
		c.cfg.Log.Error("publishing a certificate", "cause", err.Error())
		reply(w, http.StatusInternalServerError, problem{"the certificate could not be read"})
		return
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	w.Header().Set("Cache-Control", "public, max-age=86400")
	_, _ = w.Write(pem)
}

package identity

import "strings"

// IssuerPath is where the documents of web identity issuers are published, below the URL at which the cloud is reached.
const IssuerPath = "/_holdfast/oidc/"

// IssuerURL is the issuer of an account's web identity tokens, see Settings.Outbound. AWS's are https://ID.tokens.sts.global.api.aws, a name that
// nobody else can serve; ours lie below publicURL, the URL at which those who check tokens reach the cloud.
func IssuerURL(publicURL, outbound string) string {
	return strings.TrimSuffix(publicURL, "/") + IssuerPath + outbound
}

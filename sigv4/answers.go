package sigv4

// answer is one cell of the table of what AWS says.
type answer struct {
	status  int
	code    string
	message string
}

const (
	noToken     = "Request is missing Authentication Token"
	mismatch    = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	s3Mismatch  = "The request signature we calculated does not match the signature you provided. Check your key and signing method."
	badToken    = "The security token included in the request is invalid."
	oldToken    = "The security token included in the request is expired"
	ec2Invalid  = "AWS was not able to validate the provided access credentials"
	ec2Expired  = "Request has expired."
	s3BadHeader = "The authorization header that you provided is not valid."
	s3Skewed    = "The difference between the request time and the current time is too large."
	s3BadQuery  = "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
	s3Ambiguous = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified"
	s3BadHash   = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
)

// answerTo is the table. What AWS publishes is in each API reference's "Common Errors", in "Troubleshooting
// Signature Version 4 signing" of the IAM User Guide, and in S3's "Error responses". A kind that only S3's
// features can cause answers in S3's words in every style.
func answerTo(k Kind, s Style) answer {
	switch k {
	case Anonymous:
		return [styles]answer{
			{400, "MissingAuthenticationTokenException", noToken},
			{403, "MissingAuthenticationTokenException", "Missing Authentication Token"},
			{403, "MissingAuthenticationToken", noToken},
			{403, "MissingAuthenticationToken", noToken},
			{403, "AccessDenied", "Access Denied"},
			{403, "AccessDenied", "Access Denied"},
		}[s]
	case UnsupportedScheme:
		const s3Text = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
		return [styles]answer{
			{400, "MissingAuthenticationTokenException", noToken},
			{403, "MissingAuthenticationTokenException", "Missing Authentication Token"},
			{403, "MissingAuthenticationToken", noToken},
			{403, "MissingAuthenticationToken", noToken},
			{400, "InvalidRequest", s3Text},
			{400, "InvalidRequest", s3Text},
		}[s]
	case AmbiguousAuthorization:
		const text = "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
		return invalid(s, text, answer{400, "InvalidArgument", s3Ambiguous}, answer{400, "InvalidArgument", s3Ambiguous})
	case Incomplete:
		return incomplete(s, "The request signature does not conform to AWS standards.",
			answer{400, "AuthorizationHeaderMalformed", s3BadHeader}, answer{400, "AuthorizationQueryParametersError", s3BadQuery})
	case BadDate:
		return incomplete(s, "Date must be in ISO-8601 'basic format'.",
			answer{403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"},
			answer{400, "AuthorizationQueryParametersError", `X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`})
	case BadExpires:
		s3 := answer{400, "AuthorizationQueryParametersError", "X-Amz-Expires should be a number"}
		return incomplete(s, s3.message, s3, s3)
	case BadScope:
		return invalid(s, "Credential should be scoped correctly.",
			answer{400, "AuthorizationHeaderMalformed", s3BadHeader}, answer{400, "AuthorizationQueryParametersError", s3BadQuery})
	case HeaderNotSigned:
		s3 := answer{403, "AccessDenied", "There were headers present in the request which were not signed"}
		return invalid(s, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.", s3, s3)
	case MissingPayloadHash:
		s3 := answer{400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"}
		return invalid(s, mismatch, s3, s3)
	case BadPayloadHash:
		s3 := answer{400, "InvalidArgument", s3BadHash}
		return invalid(s, mismatch, s3, s3)
	case Expired, NotYetCurrent, PresignExpired:
		return expired(k, s)
	case UnknownAccessKey:
		s3 := answer{403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."}
		return unrecognized(s, s3)
	case InvalidToken:
		s3 := answer{400, "InvalidToken", "The provided token is malformed or otherwise invalid."}
		return unrecognized(s, s3)
	case ExpiredToken:
		s3 := answer{400, "ExpiredToken", "The provided token has expired."}
		return [styles]answer{
			{400, "ExpiredTokenException", oldToken},
			{403, "ExpiredTokenException", oldToken},
			{403, "ExpiredToken", oldToken},
			{400, "RequestExpired", ec2Expired},
			s3, s3,
		}[s]
	case Mismatch:
		s3 := answer{403, "SignatureDoesNotMatch", s3Mismatch}
		return invalid(s, mismatch, s3, s3)
	case PayloadMismatch:
		s3 := answer{400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."}
		return invalid(s, mismatch, s3, s3)
	case MissingLength:
		return answer{411, "MissingContentLength", "You must provide the Content-Length HTTP header."}
	case BadChunk:
		return answer{400, "IncompleteBody", "The request body terminated unexpectedly"}
	case BadTrailer:
		return answer{400, "MalformedTrailerError", "The request contained trailing data that was not well-formed or did not conform to our published schema."}
	case BadChecksum:
		return answer{400, "BadDigest", "The checksum you specified did not match the calculated checksum."}
	}
	// An Error made elsewhere with a kind from nowhere is still a refusal.
	return answerTo(Mismatch, s)
}

// invalid is the answer to a signature that is well formed and wrong.
func invalid(s Style, text string, s3, s3Query answer) answer {
	return [styles]answer{
		{400, "InvalidSignatureException", text},
		{403, "InvalidSignatureException", text},
		{403, "SignatureDoesNotMatch", text},
		{403, "SignatureDoesNotMatch", text},
		s3, s3Query,
	}[s]
}

// incomplete is the answer to a signature that is not well formed.
func incomplete(s Style, text string, s3, s3Query answer) answer {
	return [styles]answer{
		{400, "IncompleteSignatureException", text},
		{403, "IncompleteSignatureException", text},
		{400, "IncompleteSignature", text},
		{400, "IncompleteSignature", text},
		s3, s3Query,
	}[s]
}

// unrecognized is the answer to credentials that are not ours.
func unrecognized(s Style, s3 answer) answer {
	return [styles]answer{
		{400, "UnrecognizedClientException", badToken},
		{403, "UnrecognizedClientException", badToken},
		{403, "InvalidClientTokenId", badToken},
		{401, "AuthFailure", ec2Invalid},
		s3, s3,
	}[s]
}

// expired is the answer to a signature from the wrong time.
func expired(k Kind, s Style) answer {
	s3 := answer{403, "RequestTimeTooSkewed", s3Skewed}
	s3Presigned := answer{403, "AccessDenied", "Request has expired"}
	if k == NotYetCurrent {
		s3Presigned.message = "Request is not valid yet"
	}
	if s == EC2 {
		return answer{400, "RequestExpired", ec2Expired}
	}
	text := "Signature expired"
	if k == NotYetCurrent {
		text = "Signature not yet current"
	}
	return invalid(s, text, s3, s3Presigned)
}

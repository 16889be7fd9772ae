package apigen

import "strings"

// special is what no rule of the generator yields for one service. Each entry has its reason beside it.
type special struct {
	iamPrefix   string // where it is not the signing name
	eventSource string // where it is not the signing name + ".amazonaws.com"
	bodyLimit   map[string]int64

	// action names the IAM action of an operation where it is not the operation's own name; actionFor is
	// the same as a rule.
	action    map[string]string
	actionFor func(name string, op *Operation) string

	// readOnly corrects what follows from the access level: the audit trail counts what leaves no trace as
	// read-only, IAM's reference counts it as writing.
	readOnly map[string]bool

	// recorded are read-only operations whose response belongs into the audit record all the same.
	recorded map[string]bool

	// sensitive are shapes, or members of structures, that the model does not call sensitive, although what they hold is.
	sensitive []string

	// noAuth are operations that links in messages lead to, which nobody signs; signed calls of them are verified as ever.
	noAuth map[string]bool

	// inside are maximal lengths for what other services of the cloud hand over, see wire.Constraint.
	inside map[string]float64

	// event names the audit event of an operation where it is not the operation's own name; eventFor is the
	// same as a rule.
	event    map[string]string
	eventFor func(name string, op *Operation) string

	// rename gives shapes other Go names where two fall together.
	rename map[string]string

	// query has the service speak the query protocol as well, which AWS still does where the model tells of it no more.
	query *queryProtocol
}

// defaultBodyLimit is for the operations that the table does not name: well above the largest request
// that the services document for them, far below what a caller could hurt the process with.
const defaultBodyLimit = 1 << 20

const mib = 1 << 20

func specialFor(folder string) special {
	switch folder {
	case "accessanalyzer":
		// The second versions are authorized as the first.
		return special{action: map[string]string{"GetFindingV2": "GetFinding", "ListFindingsV2": "ListFindings"}}
	case "apigateway", "apigatewayv2":
		return special{
			// IAM knows the management API of API Gateway by its methods: apigateway:GET on a path.
			actionFor: func(_ string, op *Operation) string { return op.HTTP.Method },
			// Definitions of APIs are up to 6 MB long.
			bodyLimit: map[string]int64{
				"ImportRestApi": 6 * mib, "PutRestApi": 6 * mib, "ImportApi": 6 * mib, "ReimportApi": 6 * mib,
			},
		}
	case "appsync":
		return special{bodyLimit: map[string]int64{"StartSchemaCreation": 2 * mib}}
	case "cloudfront":
		return special{action: map[string]string{"CreateDistributionWithTags": "CreateDistribution"}}
	case "cloudwatch":
		return special{
			iamPrefix: "cloudwatch", // it signs as "monitoring"
		}
	case "dynamodb":
		return special{
			// PartiQL's and the transactions' actions stand for single items; these are the closest to what
			// the reference knows. Handlers authorize each item by its own action.
			action: map[string]string{
				"BatchExecuteStatement": "PartiQLSelect", "ExecuteStatement": "PartiQLSelect",
				"ExecuteTransaction": "PartiQLSelect", "TransactGetItems": "GetItem", "TransactWriteItems": "PutItem",
			},
			// A batch holds up to 16 MB.
			bodyLimit: map[string]int64{
				"BatchWriteItem": 17 * mib, "TransactWriteItems": 5 * mib,
			},
		}
	case "events":
		// What events say, and what targets are given, is no part of the record of who put them.
		return special{sensitive: []string{"PutEventsRequestEntry.Detail", "PutPartnerEventsRequestEntry.Detail", "TargetInput", "TransformerInput", "TestEventPatternRequest.Event"}}
	case "firehose":
		return special{bodyLimit: map[string]int64{"PutRecordBatch": 6 * mib, "PutRecord": 2 * mib}} // 4 MiB, in base64
	case "guardduty":
		return special{rename: map[string]string{"Service": "FindingService"}} // Service is the package's own
	case "inspector2":
		return special{rename: map[string]string{"Service": "ServiceName"}} // Service is the package's own
	case "kinesis":
		return special{bodyLimit: map[string]int64{"PutRecords": 14 * mib, "PutRecord": 14 * mib}} // 10 MiB, in base64
	case "kms":
		return special{
			// ReEncrypt is authorized twice: ReEncryptFrom on the old key, ReEncryptTo on the new one.
			action: map[string]string{"ReEncrypt": "ReEncryptFrom"},
			// What KMS lets its callers encrypt, with what an external key store wraps around it.
			inside: map[string]float64{"PlaintextType": 4300},
			// The documented events of the cryptographic operations are read-only.
			readOnly: map[string]bool{
				"Decrypt": true, "DeriveSharedSecret": true, "Encrypt": true, "GenerateDataKey": true,
				"GenerateDataKeyPair": true, "GenerateDataKeyPairWithoutPlaintext": true,
				"GenerateDataKeyWithoutPlaintext": true, "GenerateMac": true, "GenerateRandom": true,
				"ReEncrypt": true, "Sign": true, "Verify": true, "VerifyMac": true,
			},
		}
	case "lambda":
		return special{
			action: map[string]string{
				"Invoke":                   "InvokeFunction",
				"InvokeWithResponseStream": "InvokeFunction",
				"InvokeAsync":              "InvokeFunction", // the reference's InvokeAsync grants nothing anymore
				"GetLayerVersionByArn":     "GetLayerVersion",
			},
			// Zip files of up to 50 MB and payloads of up to 6 MB.
			bodyLimit: map[string]int64{
				"CreateFunction": 70 * mib, "UpdateFunctionCode": 70 * mib, "PublishLayerVersion": 70 * mib,
				"Invoke": 6*mib + 1024, "InvokeWithResponseStream": 6*mib + 1024,
			},
			event:    map[string]string{"Invoke": "Invoke"},
			eventFor: lambdaEvent,
		}
	case "logs":
		return special{
			bodyLimit: map[string]int64{"PutLogEvents": 8 * mib}, // 1 MiB, in JSON strings
			// What is logged may hold anything, and is no part of the record of who logged.
			sensitive: []string{"InputLogEvents", "TestEventMessages"},
		}
	case "resourcegroupstaggingapi":
		return special{iamPrefix: "tag"} // it signs as "tagging"
	case "scheduler":
		// What a target is given may hold anything, as a message does, and is no part of the record of who made the schedule.
		return special{sensitive: []string{"TargetInput"}}
	case "s3":
		return special{action: s3Actions, event: s3Events,
			bodyLimit: map[string]int64{"DeleteObjects": 2 * mib, "CompleteMultipartUpload": 2 * mib}}
	case "s3control":
		return special{
			action: map[string]string{
				"DeleteBucketLifecycleConfiguration":  "PutLifecycleConfiguration",
				"DeleteBucketReplication":             "PutReplicationConfiguration",
				"DeleteBucketTagging":                 "PutBucketTagging",
				"DeletePublicAccessBlock":             "PutAccountPublicAccessBlock",
				"GetBucketLifecycleConfiguration":     "GetLifecycleConfiguration",
				"GetBucketReplication":                "GetReplicationConfiguration",
				"GetPublicAccessBlock":                "GetAccountPublicAccessBlock",
				"ListAccessPointsForDirectoryBuckets": "ListAccessPoints",
				"ListRegionalBuckets":                 "ListAllMyBuckets",
				"PutBucketLifecycleConfiguration":     "PutLifecycleConfiguration",
				"PutBucketReplication":                "PutReplicationConfiguration",
				"PutPublicAccessBlock":                "PutAccountPublicAccessBlock",
			},
		}
	case "securityhub":
		return special{bodyLimit: map[string]int64{"BatchImportFindings": 24 * mib}} // 100 findings of 240 KB
	case "sns":
		return special{
			action: map[string]string{"PublishBatch": "Publish"},
			noAuth: map[string]bool{"ConfirmSubscription": true, "Unsubscribe": true},
			// CloudTrail hides what is published. A token confirms a subscription, and the address of a server may have a password in it.
			sensitive: []string{"message", "subject", "MessageAttributeMap", "token", "endpoint"},
		}
	case "sqs":
		return special{
			action: map[string]string{
				"ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
				"DeleteMessageBatch":           "DeleteMessage",
				"SendMessageBatch":             "SendMessage",
			},
			bodyLimit: map[string]int64{"SendMessage": 3 * mib, "SendMessageBatch": 3 * mib}, // 1 MiB, in JSON strings
			// CloudTrail hides what messages say.
			sensitive: []string{
				"SendMessageRequest.MessageBody", "SendMessageBatchRequestEntry.MessageBody", "SendMessageRequest.MessageAttributes",
				"SendMessageBatchRequestEntry.MessageAttributes", "Message.Body", "Message.MessageAttributes",
			},
			query: sqsQuery,
		}
	case "sts":
		return special{
			// Handing out credentials changes nothing. The documented events, those of AssumeRole and its
			// kin, are read-only; the others follow them.
			readOnly: map[string]bool{
				"AssumeRole": true, "AssumeRoleWithSAML": true, "AssumeRoleWithWebIdentity": true,
				"AssumeRoot": true, "DecodeAuthorizationMessage": true, "GetDelegatedAccessToken": true,
				"GetFederationToken": true, "GetSessionToken": true, "GetWebIdentityToken": true,
			},
			// Who finds an access key in the trail must find who got it, and as whom. The documented events have that.
			recorded: map[string]bool{
				"AssumeRole": true, "AssumeRoleWithSAML": true, "AssumeRoleWithWebIdentity": true,
				"AssumeRoot": true, "GetFederationToken": true, "GetSessionToken": true,
			},
			// A session token is one half of the credentials, and a one-time code of a call that was refused may still count.
			sensitive: []string{"tokenType", "tokenCodeType"},
		}
	case "xks":
		const limit = 64 << 10 // three times the longest texts and names that the specification has
		return special{
			// What it does is what KMS records as read-only.
			readOnly:  map[string]bool{"Decrypt": true, "Encrypt": true},
			bodyLimit: map[string]int64{"Decrypt": limit, "Encrypt": limit, "GetHealthStatus": limit, "GetKeyMetadata": limit},
		}
	}
	return special{}
}

// lambdaEvent appends the date in the URI, as Lambda's audit events do since their first API version, and
// "v2" for the operations that were changed within that version.
func lambdaEvent(name string, op *Operation) string {
	date, _, _ := strings.Cut(strings.TrimPrefix(op.HTTP.RequestURI, "/"), "/")
	event := name + strings.ReplaceAll(date, "-", "")
	switch name {
	case "AddPermission", "GetFunction", "GetFunctionConfiguration", "GetPolicy", "RemovePermission",
		"UpdateFunctionCode", "UpdateFunctionConfiguration":
		event += "v2"
	}
	return event
}

// s3Actions are the operations of S3 that are authorized by an action of another name ("Required
// permissions for Amazon S3 API operations" in the S3 user guide).
var s3Actions = map[string]string{
	"CompleteMultipartUpload":                     "PutObject",
	"CopyObject":                                  "PutObject",
	"CreateBucketMetadataConfiguration":           "CreateBucketMetadataTableConfiguration",
	"CreateMultipartUpload":                       "PutObject",
	"DeleteBucketAnalyticsConfiguration":          "PutAnalyticsConfiguration",
	"DeleteBucketCors":                            "PutBucketCORS",
	"DeleteBucketEncryption":                      "PutEncryptionConfiguration",
	"DeleteBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
	"DeleteBucketInventoryConfiguration":          "PutInventoryConfiguration",
	"DeleteBucketLifecycle":                       "PutLifecycleConfiguration",
	"DeleteBucketMetadataConfiguration":           "DeleteBucketMetadataTableConfiguration",
	"DeleteBucketMetricsConfiguration":            "PutMetricsConfiguration",
	"DeleteBucketOwnershipControls":               "PutBucketOwnershipControls",
	"DeleteBucketReplication":                     "PutReplicationConfiguration",
	"DeleteBucketTagging":                         "PutBucketTagging",
	"DeleteObjects":                               "DeleteObject",
	"DeletePublicAccessBlock":                     "PutBucketPublicAccessBlock",
	"GetBucketAccelerateConfiguration":            "GetAccelerateConfiguration",
	"GetBucketAnalyticsConfiguration":             "GetAnalyticsConfiguration",
	"GetBucketEncryption":                         "GetEncryptionConfiguration",
	"GetBucketIntelligentTieringConfiguration":    "GetIntelligentTieringConfiguration",
	"GetBucketInventoryConfiguration":             "GetInventoryConfiguration",
	"GetBucketLifecycle":                          "GetLifecycleConfiguration",
	"GetBucketLifecycleConfiguration":             "GetLifecycleConfiguration",
	"GetBucketMetadataConfiguration":              "GetBucketMetadataTableConfiguration",
	"GetBucketMetricsConfiguration":               "GetMetricsConfiguration",
	"GetBucketNotificationConfiguration":          "GetBucketNotification",
	"GetBucketReplication":                        "GetReplicationConfiguration",
	"GetObjectLockConfiguration":                  "GetBucketObjectLockConfiguration",
	"GetPublicAccessBlock":                        "GetBucketPublicAccessBlock",
	"HeadBucket":                                  "ListBucket",
	"HeadObject":                                  "GetObject",
	"ListBucketAnalyticsConfigurations":           "GetAnalyticsConfiguration",
	"ListBucketIntelligentTieringConfigurations":  "GetIntelligentTieringConfiguration",
	"ListBucketInventoryConfigurations":           "GetInventoryConfiguration",
	"ListBucketMetricsConfigurations":             "GetMetricsConfiguration",
	"ListBuckets":                                 "ListAllMyBuckets",
	"ListMultipartUploads":                        "ListBucketMultipartUploads",
	"ListObjectVersions":                          "ListBucketVersions",
	"ListObjects":                                 "ListBucket",
	"ListObjectsV2":                               "ListBucket",
	"ListParts":                                   "ListMultipartUploadParts",
	"PutBucketAccelerateConfiguration":            "PutAccelerateConfiguration",
	"PutBucketAnalyticsConfiguration":             "PutAnalyticsConfiguration",
	"PutBucketEncryption":                         "PutEncryptionConfiguration",
	"PutBucketIntelligentTieringConfiguration":    "PutIntelligentTieringConfiguration",
	"PutBucketInventoryConfiguration":             "PutInventoryConfiguration",
	"PutBucketLifecycle":                          "PutLifecycleConfiguration",
	"PutBucketLifecycleConfiguration":             "PutLifecycleConfiguration",
	"PutBucketMetricsConfiguration":               "PutMetricsConfiguration",
	"PutBucketNotificationConfiguration":          "PutBucketNotification",
	"PutBucketReplication":                        "PutReplicationConfiguration",
	"PutObjectLockConfiguration":                  "PutBucketObjectLockConfiguration",
	"PutPublicAccessBlock":                        "PutBucketPublicAccessBlock",
	"RenameObject":                                "PutObject",
	"SelectObjectContent":                         "GetObject",
	"UploadPart":                                  "PutObject",
	"UploadPartCopy":                              "PutObject",
}

// s3Events are the operations of S3 that are recorded under another name ("CloudTrail tracking" in the S3
// user guide).
var s3Events = map[string]string{
	"GetBucketLifecycleConfiguration":    "GetBucketLifecycle",
	"GetBucketNotificationConfiguration": "GetBucketNotification",
	"GetObjectLockConfiguration":         "GetBucketObjectLockConfiguration",
	"GetPublicAccessBlock":               "GetBucketPublicAccessBlock",
	"DeletePublicAccessBlock":            "DeleteBucketPublicAccessBlock",
	"ListObjectsV2":                      "ListObjects",
	"PutBucketLifecycleConfiguration":    "PutBucketLifecycle",
	"PutBucketNotificationConfiguration": "PutBucketNotification",
	"PutObjectLockConfiguration":         "PutBucketObjectLockConfiguration",
	"PutPublicAccessBlock":               "PutBucketPublicAccessBlock",
}

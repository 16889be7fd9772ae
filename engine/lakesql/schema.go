package lakesql

import "strings"

// recordType is the row that a record is: the columns of every event data store. They are those of CloudTrail's events (management and data events, network
// activity, Insights), and those of other sources' events: eventData and metadata.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/query-supported-event-schemas.html
var recordType = schema(`
eventVersion
userIdentity (
	type principalId arn accountId accessKeyId userName
	sessionContext (
		attributes ( creationDate:timestamp mfaAuthenticated )
		sessionIssuer ( type principalId arn accountId userName )
		webIdFederationData ( federatedProvider attributes:map )
		sourceIdentity ec2RoleDelivery ec2IssuedInVpc assumedRoot
	)
	invokedBy identityProvider credentialId
	onBehalfOf ( userId identityStoreArn )
	inScopeOf ( sourceArn sourceAccount issuerType credentialsIssuedTo )
)
eventTime:timestamp
eventSource
eventName
awsRegion
sourceIPAddress
userAgent
errorCode
errorMessage
requestParameters:map
responseElements:map
additionalEventData:map
requestID
eventID
readOnly:boolean
resources [ accountId type ARN ARNPrefix ]
eventType
apiVersion
managementEvent:boolean
recipientAccountId
sharedEventID
annotation
vpcEndpointId
vpcEndpointAccountId
serviceEventDetails:map
addendum ( reason updatedFields originalRequestID originalEventID )
edgeDeviceDetails:map
insightDetails (
	state eventSource eventName insightType errorCode
	insightContext (
		statistics ( baseline ( average:double ) insight ( average:double ) insightDuration:bigint baselineDuration:bigint )
		attributions [ attribute insight [ value average:double ] baseline [ value average:double ] ]
	)
)
eventCategory
tlsDetails ( tlsVersion cipherSuite clientProvidedHostHeader keyExchange )
sessionCredentialFromConsole
eventData (
	version
	userIdentity ( type principalId details:map )
	userAgent eventSource eventName eventTime UID
	requestParameters:map responseElements:map
	errorCode errorMessage sourceIPAddress recipientAccountId
	additionalEventData:map
	configurationItemVersion configurationItemCaptureTime configurationItemStatus configurationStateId accountId
	resourceType resourceId resourceName arn awsRegion availabilityZone resourceCreationTime
	configuration:map supplementaryConfiguration:map
	relatedEvents relationships [ name resourceType resourceId resourceName ] tags:map
)
metadata ( ingestionTime channelARN )
eventJson
eventJsonChecksum
`)

// eventJSON is the column that holds the record itself.
const eventJSON = "eventJson"

// schema reads a row's fields: name, name:type, name ( fields ), name [ fields ] for an array of rows. A type that is not named is varchar.
func schema(text string) *typ {
	words := strings.Fields(text)
	row, _ := schemaFields(words)
	return row
}

func schemaFields(words []string) (row *typ, rest []string) {
	row = &typ{kind: kindRow}
	for len(words) > 0 && words[0] != ")" && words[0] != "]" {
		name, kind, _ := strings.Cut(words[0], ":")
		words = words[1:]
		t := map[string]*typ{"": typVarchar, "timestamp": typTimestamp, "map": mapOf(typVarchar, typVarchar), "boolean": typBoolean, "double": typDouble,
			"bigint": typBigint}[kind]
		if len(words) > 0 && (words[0] == "(" || words[0] == "[") {
			list := words[0] == "["
			t, words = schemaFields(words[1:])
			words = words[1:]
			if list {
				t = arrayOf(t)
			}
		}
		row.fields = append(row.fields, field{name, t})
	}
	return row, words
}

package lakesql_test

import (
	"context"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/lakesql"
)

// TestSamples runs statements of the forms that AWS documents and publishes as samples: their clauses, functions and columns, over the fixture's store.
func TestSamples(t *testing.T) {
	day := "eventTime >= '2023-01-22 00:00:00' AND eventTime <= '2023-01-25 00:00:00'"
	for name, c := range map[string]struct {
		statement string
		rows      int
	}{
		"WhoCreatedBuckets": {"SELECT userIdentity.principalid, eventName FROM $EDS WHERE userIdentity.principalid IS NOT NULL AND " + day + " AND eventName = 'CreateBucket'", 1},
		"CallsOfAUser": {"SELECT userIdentity.username, userIdentity.arn, sourceIPAddress, userAgent, eventSource, eventName, eventTime FROM $EDS " +
			"WHERE userIdentity.username = 'ann' AND " + day + " ORDER BY eventTime", 2},
		"CallsByNameAndSource": {"SELECT eventName, eventSource, COUNT(*) AS apiCount FROM $EDS WHERE " + day + " GROUP BY eventName, eventSource ORDER BY apiCount DESC", 4},
		"ConsoleLogins":        {"SELECT eventTime, userIdentity.arn, awsRegion FROM $EDS WHERE " + day + " AND awsRegion IN ('us-east-1', 'us-east-2') AND eventName = 'ConsoleLogin'", 1},
		"LoginsWithoutMFA": {"SELECT userIdentity.username, element_at(additionalEventData, 'MFAUsed') AS mfa FROM $EDS WHERE element_at(additionalEventData, 'MFAUsed') = 'No' " +
			"AND element_at(responseElements, 'ConsoleLogin') = 'Success'", 1},
		"CrossAccount": {"SELECT userIdentity.principalid, eventName, userIdentity.accountId, recipientAccountId, requestParameters FROM $EDS WHERE " + day +
			" AND userIdentity.accountId != recipientAccountId", 1},
		"TopErrors":  {"SELECT errorCode, COUNT(*) AS eventCount FROM $EDS WHERE errorCode IS NOT NULL GROUP BY errorCode ORDER BY eventCount DESC", 1},
		"TopObjects": {"SELECT element_at(requestParameters, 'bucketName') AS bucketName, element_at(requestParameters, 'key') AS key, COUNT(*) AS requestCount FROM $EDS WHERE eventCategory = 'Data' GROUP BY requestParameters ORDER BY requestCount DESC LIMIT 20;", 1},
		"SelfAssumed": {"SELECT eventid, userIdentity.sessioncontext.sessionissuer.arn AS RoleARN FROM $EDS WHERE errorcode IS NULL " +
			"AND userIdentity.sessioncontext.sessionissuer.arn = element_at(resources,1\n    ).arn", 0},
		"OldTLS": {"SELECT eventSource, tlsDetails.tlsVersion, COUNT(*) AS calls FROM $EDS WHERE tlsDetails.tlsVersion LIKE 'TLSv%' AND CAST(REPLACE(tlsDetails.tlsVersion, 'TLSv', '') AS DOUBLE) <= 1.1 " +
			"GROUP BY eventSource, tlsDetails.tlsVersion ORDER BY calls DESC", 1},
		"ManySources": {"SELECT recipientAccountId, awsRegion, eventSource, count(*) AS total FROM $EDS WHERE (eventSource LIKE 'eks%' OR eventSource LIKE 'kms%' OR eventSource LIKE 's3%') " +
			"AND readOnly=False AND managementEvent=True GROUP\n BY recipientAccountId, awsRegion, eventSource ORDER BY recipientAccountId DESC, total DESC", 1},
		"RuleResults": {"SELECT eventTime, json_extract_scalar(json_array_get(element_at(requestParameters,'acl'),0),'$') AS first FROM $EDS WHERE eventName='CreateBucket'", 1},
		"TagHistory": {"SELECT awsRegion, json_extract_scalar(eventjson, '$.requestParameters.resourcesSet.items[0].resourceId') AS resourceId, useridentity.arn AS identityarn " +
			"FROM $EDS WHERE eventName IN ('CreateTags','DeleteTags') ORDER BY resourceId, eventTime DESC", 0},
		"WeekDays": {"SELECT day_of_week(eventTime) AS weekday, COUNT(*) AS eventCount FROM $EDS WHERE eventCategory = 'Data' GROUP BY day_of_week(eventTime) ORDER BY day_of_week(eventTime)", 1},
		"SecurityGroups": {"/* two kinds of events */ SELECT element_at(requestParameters, 'groupId') AS securityGroup, eventName, userIdentity.arn AS user FROM $EDS " +
			"WHERE eventName = 'AuthorizeSecurityGroupIngress' -- one\nUNION ALL SELECT json_extract_scalar(element_at(requestParameters, 'ModifySecurityGroupRulesRequest'), '$.GroupId') securityGroup, " +
			"eventName, userIdentity.arn AS user FROM $EDS WHERE eventName = 'ModifySecurityGroupRules' ORDER BY securityGroup, eventName", 0},
		"Flat": {"SELECT eventVersion, userIdentity.principalID, userIdentity.sessionContext.attributes.creationDate, userIdentity.sessionContext.webidfederationData.federatedProvider, " +
			"userIdentity.sessionContext.webidfederationData.attributes, userIdentity.sessionContext.ec2RoleDelivery, userIdentity.sessionContext.ec2IssuedInVPC, userIdentity.invokedBy, " +
			"userIdentity.identityProvider, sourceIpAddress, additionalEventData, recipientAccountID, vpcEndPointID, serviceEventDetails, addendum, edgeDeviceDetails, insightDetails, " +
			"tlsDetails.clientProvidedHostHeader, sessionCredentialFromConsole, eventJson, eventJsonChecksum FROM $EDS", 4},
		"PatchState": {"SELECT eventData.accountId, replace(eventData.resourceId, 'AWS::SSM::ManagedInstanceInventory/') AS InstanceId, " +
			"transform(filter(PatchResult, p -> cast(json_extract(p, '$.PatchState') AS varchar) = 'Installed'), f -> json_extract(f, '$.Id')) AS Installed " +
			"FROM (SELECT eventData, map_values(cast(json_extract(json_parse(eventJson), '$.eventData.configuration.AWS:ComplianceItem.Content.Patch') AS map(varchar, json))) AS PatchResult, " +
			"rank() OVER (PARTITION BY replace(eventData.resourceId, 'AWS::SSM::ManagedInstanceInventory/') ORDER BY eventTime DESC) AS rnk FROM $EDS) WHERE rnk = 1", 1},
		"SourceOfChanges": {"SELECT userIdentity.principalId, element_at(requestParameters, 'bucketName') AS bucket, sourceIPAddress FROM $EDS WHERE eventName LIKE '%Bucket' AND " + day +
			" AND element_at(requestParameters, 'bucketName') IN (SELECT regexp_replace(element_at(requestParameters, 'bucketName'), '^StackSet-|(-[a-f0-9]{8}-[a-f0-9]{4})$') AS name " +
			"FROM $EDS WHERE eventName LIKE '%Bucket' AND userIdentity.principalId IN (SELECT userIdentity.principalid FROM $EDS WHERE eventName = 'CreateBucket'))", 1},
		"MadeByHand": {"SELECT userIdentity.arn AS user, userIdentity, resources, requestID FROM $EDS WHERE (eventName LIKE '%Create%' OR eventName LIKE '%Put%'\n ) AND resources IS NOT NULL " +
			"AND userIdentity.sessioncontext.sessionissuer.username NOT LIKE 'AWSServiceRole%' AND sourceIpAddress != 'cloudformation.amazonaws.com'ORDER BY eventTime DESC", 0},
		"Snapshots": {"select json_extract(element_at(requestparameters, 'CreateSnapshotsRequest'\n ),'$.InstanceSpecification.InstanceId'\n ) as Instance, count(*\n ) as n from $EDS " +
			"where eventName like '%CreateSnapshot' or eventName like '%Bucket' and element_at(responseElements,'encrypted')='false' and eventTime < '2022-01-01 00:00:00' group by 1", 0},
		"Stores": {"SELECT eventID, eventName FROM $EDS UNION SELECT eventID, eventData.eventName FROM $CHANNEL UNION ALL SELECT eventID, eventName FROM $EDS WHERE readOnly ORDER BY eventID LIMIT 10", 6},
		"JoinOfStores": {"SELECT a.eventID, a.eventName, c.eventData.eventSource, element_at(c.eventData.useridentity.details, 'department') FROM $EDS AS a LEFT JOIN $CHANNEL AS c ON a.eventTime = c.eventTime " +
			"WHERE a.eventName = 'CreateBucket'", 1},
	} {
		t.Run(name, func(t *testing.T) {
			statement := strings.NewReplacer("$EDS", events, "$CHANNEL", channel).Replace(c.statement)
			q, err := lakesql.Parse(statement)
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			result, err := q.Run(context.Background(), fixture(t), lakesql.Limits{Now: now})
			if err != nil {
				t.Fatalf("Run: %v", err)
			}
			if len(result.Rows) != c.rows {
				t.Errorf("Run: %d rows, want %d: %v", len(result.Rows), c.rows, result.Rows)
			}
		})
	}
}

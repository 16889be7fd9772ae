#!/usr/bin/env python3
"""Writes golden/ and golden-keys.json: files of a trail by a third implementation, and has the AWS CLI's own validator check them.

It needs the AWS CLI, version 1, as a Python package. The files are kept, so that tests need neither.
"""
import base64, datetime, gzip, hashlib, io, json, os, shutil

import rsa
from awscli.customizations.cloudtrail import validation

BUCKET, ACCOUNT, REGION, TRAIL = "golden", "111122223333", "us-east-2", "your_trail-name"
os.chdir(os.path.dirname(os.path.abspath(__file__)))
shutil.rmtree("golden", ignore_errors=True)
public, private = rsa.newkeys(2048)
objects = {}


def stamp(t):
    return t.strftime("%Y-%m-%dT%H:%M:%SZ")


def put(key, content, metadata=None):
    body = gzip.compress(content, mtime=0)
    objects[key] = (body, metadata or {})
    path = os.path.join("golden", key)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(body)
    if metadata:
        with open(path + ".metadata.json", "w") as f:
            json.dump(metadata, f)


start = datetime.datetime(2015, 8, 17, 14, 1, 31)
previous = (None, None, None)
for hour in range(3):
    begin, end = start + datetime.timedelta(hours=hour), start + datetime.timedelta(hours=hour + 1)
    logs = []
    for n in range(hour):  # none in the first hour
        t = begin + datetime.timedelta(minutes=10 * n + 5)
        key = f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/{t:%Y/%m/%d}/{ACCOUNT}_CloudTrail_{REGION}_{t:%Y%m%dT%H%MZ}_gold{hour}{n}.json.gz"
        content = json.dumps({"Records": [{"eventID": f"{hour}-{n}-{i}", "eventTime": stamp(t), "eventName": "é}"} for i in range(2)]}).encode()
        put(key, content)
        logs.append({"s3Bucket": BUCKET, "s3Object": key, "hashValue": hashlib.sha256(content).hexdigest(), "hashAlgorithm": "SHA-256",
                     "newestEventTime": stamp(t), "oldestEventTime": stamp(t)})
    key = f"AWSLogs/{ACCOUNT}/CloudTrail-Digest/{REGION}/{end:%Y/%m/%d}/{ACCOUNT}_CloudTrail-Digest_{REGION}_{TRAIL}_{REGION}_{end:%Y%m%dT%H%M%SZ}.json.gz"
    content = json.dumps({
        "awsAccountId": ACCOUNT, "digestStartTime": stamp(begin), "digestEndTime": stamp(end), "digestS3Bucket": BUCKET, "digestS3Object": key,
        "digestPublicKeyFingerprint": "31e8b5433410dfb61a9dc45cc65b22ff", "digestSignatureAlgorithm": "SHA256withRSA",
        "newestEventTime": logs[-1]["newestEventTime"] if logs else None, "oldestEventTime": logs[0]["oldestEventTime"] if logs else None,
        "previousDigestS3Bucket": previous[0] and BUCKET, "previousDigestS3Object": previous[0], "previousDigestHashValue": previous[1],
        "previousDigestHashAlgorithm": previous[0] and "SHA-256", "previousDigestSignature": previous[2], "logFiles": logs,
    }, indent=1).encode()
    signed = f"{stamp(end)}\n{BUCKET}/{key}\n{hashlib.sha256(content).hexdigest()}\n{previous[2] or 'null'}"
    signature = rsa.sign(signed.encode(), private, "SHA-256").hex()
    put(key, content, {"signature": signature, "signature-algorithm": "SHA256withRSA"})
    previous = (key, hashlib.sha256(content).hexdigest(), signature)
keys = {"PublicKeyList": [{"Value": base64.b64encode(public.save_pkcs1("DER")).decode(), "Fingerprint": "31e8b5433410dfb61a9dc45cc65b22ff",
                           "ValidityStartTime": "2015-08-01T00:00:00+00:00", "ValidityEndTime": "2016-08-01T00:00:00+00:00"}]}
with open("golden-keys.json", "w") as f:
    json.dump(keys, f, indent=1)


class Fake:  # S3, CloudTrail, and what makes clients of S3
    def get_client(self, bucket): return self
    def list_public_keys(self, **_): return keys
    def get_object(self, Bucket, Key): return {"Body": io.BytesIO(objects[Key][0]), "Metadata": objects[Key][1]}
    def get_paginator(self, _): return self
    def paginate(self, Bucket, Marker, Prefix): self.args = (Marker, Prefix); return self
    def search(self, _): return [k for k in sorted(objects) if k > self.args[0] and k.startswith(self.args[1])]


wrong = []
traverser = validation.create_digest_traverser(
    cloudtrail_client=Fake(), organization_client=None, s3_client_provider=Fake(), trail_arn=f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{TRAIL}", trail_source_region=REGION,
    bucket=BUCKET, on_invalid=lambda **k: wrong.append(k), on_gap=lambda **k: wrong.append(k), on_missing=lambda **k: wrong.append(k))
found = list(traverser.traverse_digests(start, start + datetime.timedelta(hours=4)))
for d in found:
    for l in d["logFiles"]:
        assert hashlib.sha256(gzip.decompress(objects[l["s3Object"]][0])).hexdigest() == l["hashValue"]
assert len(found) == 3 and not wrong, wrong
print("the AWS CLI's validator finds", len(found), "valid digests")

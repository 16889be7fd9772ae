// The AWS Encryption SDK for JavaScript as a process: each line that it reads is a request, each that it writes the reply. The Go side has the same in
// encryptionsdk_test.go.
import { createInterface } from "node:readline";
import {
  buildAwsKmsMrkAwareDiscoveryMultiKeyringNode, buildAwsKmsMrkAwareStrictMultiKeyringNode, buildClient, KMS, KmsKeyringNode,
} from "@aws-crypto/client-node";

// keyring makes the keyring that a request wants.
function keyring({ keyring, keys, regions, accounts, endpoints }) {
  const clientProvider = (region) => {
    const { url, id, secret } = endpoints[region];
    return new KMS({ region, endpoint: url, credentials: { accessKeyId: id, secretAccessKey: secret }, maxAttempts: 1 });
  };
  const [generatorKeyId, ...keyIds] = keys ?? [];
  const discoveryFilter = { partition: "aws", accountIDs: accounts };
  switch (keyring) {
    case "kms":
      return new KmsKeyringNode({ clientProvider, generatorKeyId, keyIds });
    case "mrk":
      return buildAwsKmsMrkAwareStrictMultiKeyringNode({ clientProvider, generatorKeyId, keyIds });
    case "discovery":
      return new KmsKeyringNode({
        clientProvider: (region) => regions.includes(region) && clientProvider(region), discovery: true, discoveryFilter,
      });
    case "mrk discovery":
      return buildAwsKmsMrkAwareDiscoveryMultiKeyringNode({ clientProvider, regions, discoveryFilter });
  }
  throw new Error(`no keyring ${keyring}`);
}

async function answer(request) {
  const client = buildClient(request.policy);
  const data = Buffer.from(request.data, "base64");
  if (request.op === "encrypt") {
    const { result, messageHeader } = await client.encrypt(keyring(request), data, {
      encryptionContext: request.context, frameLength: request.frame, suiteId: request.suite || undefined, plaintextLength: data.length,
    });
    return { data: result.toString("base64"), suite: messageHeader.suiteId };
  }
  const { plaintext, messageHeader } = await client.decrypt(keyring(request), data);
  return { data: plaintext.toString("base64"), suite: messageHeader.suiteId, context: messageHeader.encryptionContext };
}

for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(JSON.parse(line)).catch((e) => ({ error: `${e}` }));
  console.log(JSON.stringify(reply));
}

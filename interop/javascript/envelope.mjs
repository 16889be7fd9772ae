// Encrypts or decrypts standard input with the AWS Encryption SDK for JavaScript; ../envelope does the same in Go, and each reads what the other wrote.
//
//	node envelope.mjs encrypt KEY-ARN < plain > sealed
//	node envelope.mjs decrypt KEY-ARN < sealed > plain
import { readFileSync } from "node:fs";
import { buildAwsKmsMrkAwareStrictMultiKeyringNode, buildClient, CommitmentPolicy } from "@aws-crypto/client-node";

const [what, generatorKeyId] = process.argv.slice(2);
const client = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
// Endpoint and access key come from the environment, the region from the key's ARN.
const keyring = buildAwsKmsMrkAwareStrictMultiKeyringNode({ generatorKeyId });
const encryptionContext = { purpose: "tour" };
const input = readFileSync(0);

if (what === "encrypt") {
  const { result } = await client.encrypt(keyring, input, { encryptionContext });
  process.stdout.write(result);
} else {
  const { plaintext, messageHeader } = await client.decrypt(keyring, input);
  // The context is authentic, but whether it is the right one is for us to say.
  if (messageHeader.encryptionContext.purpose !== encryptionContext.purpose) throw new Error("this is no message of ours");
  process.stdout.write(plaintext);
}

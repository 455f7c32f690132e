import { HyprError } from '../../base/errors.ts';
import type { Image } from '../model/types.ts';
import { familiarReference, formatReference, parseReference } from '../registry/config/reference.ts';
import type { ImageRecord, Records, ReferenceRecord } from './records.ts';

const ID = /^(?:sha256:)?([0-9a-f]{1,64})$/;

/** Finds images by reference, id or short id. */
export class Lookup {
  constructor(private readonly records: Records) {}

  async get(name: string): Promise<Image | undefined> {
    const full = normalName(name);
    const reference = full === undefined ? undefined : await this.records.readReference(full);
    const id = reference?.imageId ?? (await this.#idFor(name));
    const record = id === undefined ? undefined : await this.records.readImage(id);
    return record === undefined ? undefined : toImage(record, await this.records.references());
  }

  async need(name: string): Promise<Image> {
    const image = await this.get(name);
    if (image === undefined) {
      throw new HyprError('IMAGE_NOT_FOUND', `No such image: ${name}`, { hint: await this.#hint(name) });
    }
    return image;
  }

  async dockerfileOf(name: string): Promise<string | undefined> {
    const full = normalName(name);
    return full === undefined ? undefined : (await this.records.readReference(full))?.dockerfile;
  }

  async list(): Promise<Image[]> {
    const references = await this.records.references();
    const records = await Promise.all((await this.records.imageIds()).map((id) => this.records.readImage(id)));
    return records
      .filter((record) => record !== undefined)
      .map((record) => toImage(record, references))
      .sort((a, b) => b.created - a.created || (a.id < b.id ? -1 : 1));
  }

  /** Which of an image's references a name means; undefined when the name is an id. */
  referenceOf(name: string, references: readonly string[]): string | undefined {
    const full = normalName(name);
    return references.find((reference) => reference === full);
  }

  async #idFor(name: string): Promise<string | undefined> {
    const prefix = ID.exec(name)?.[1];
    if (prefix === undefined) {
      return undefined;
    }
    const found = (await this.records.imageIds()).filter((id) => id.startsWith(`sha256:${prefix}`));
    if (found.length > 1) {
      throw new HyprError('IMAGE_REFERENCE', `${name} is the beginning of ${found.length} image ids`, { hint: 'write more of the id' });
    }
    return found[0];
  }

  async #hint(name: string): Promise<string> {
    const full = normalName(name);
    const repository = full?.replace(/[:@][^/]*$/, '');
    const near = (await this.records.references()).find(({ reference }) => reference.replace(/[:@][^/]*$/, '') === repository);
    return near === undefined ? `pull it with: hypr pull, or see what is here: hypr images` : `there is ${familiar(near.reference)}`;
  }
}

const normalName = (name: string): string | undefined => {
  try {
    const parsed = parseReference(name);
    // A name with both tag and digest is looked up by its digest.
    return formatReference(parsed.digest === undefined ? parsed : { ...parsed, tag: undefined });
  } catch (error) {
    if (error instanceof HyprError) {
      return undefined;
    }
    throw error;
  }
};

const familiar = (reference: string): string => familiarReference(parseReference(reference));

/** Names with a digest are shown only when the image has no other. */
const toImage = (record: ImageRecord, references: readonly ReferenceRecord[]): Image => {
  const all = references.filter(({ imageId }) => imageId === record.id).map(({ reference }) => reference);
  const tags = all.filter((reference) => !reference.includes('@'));
  return { ...record, references: tags.length > 0 ? tags : all };
};

import type { RecordedEvent } from '../../model/events.ts';
import type { ObjectApi, ReplicaDetail } from '../../model/types.ts';
import { labelsOf } from '../shapes/container.ts';
import { familiarName } from '../shapes/names.ts';

/** What is done through docker's API to an object, with its attributes as docker has them. */
export type ApiEvent = Omit<RecordedEvent, 'time' | 'stack' | 'service'>;

/** What hypr says and docker does not. */
const UNKNOWN_TO_DOCKER: ReadonlySet<string> = new Set(['suspend', 'resume', 'exec', 'refuse']);

/** The events of this home, as docker's clients have them: what the record of the home says, whoever did it. */
export class Events {
  readonly #objects: Pick<ObjectApi, 'events' | 'recordEvent'>;
  readonly #sees: (event: RecordedEvent) => boolean;

  /** `sees`: whether an event is told here. */
  constructor(objects: Pick<ObjectApi, 'events' | 'recordEvent'>, sees: (event: RecordedEvent) => boolean = () => true) {
    this.#objects = objects;
    this.#sees = sees;
  }

  /** As `ObjectApi.events`. */
  async *follow(options: Parameters<ObjectApi['events']>[0]): AsyncGenerator<RecordedEvent> {
    for await (const event of this.#objects.events(options)) {
      if (!UNKNOWN_TO_DOCKER.has(event.action) && this.#sees(event)) {
        yield dockerEvent(event);
      }
    }
  }

  tell(event: ApiEvent): void {
    this.#objects.recordEvent({ ...event, time: Date.now(), stack: '', service: '' });
  }
}

/** Images are recorded under their whole names. */
const dockerEvent = (event: RecordedEvent): RecordedEvent => {
  const { image } = event.attributes;
  return event.type !== 'container' || image === undefined
    ? event
    : { ...event, attributes: { ...event.attributes, image: familiarName(image) } };
};

export const containerEvent = (action: string, detail: ReplicaDetail, more: Readonly<Record<string, string>> = {}): ApiEvent => ({
  type: 'container',
  action,
  id: detail.status.id,
  attributes: { ...labelsOf(detail), image: detail.status.image, name: detail.status.name, ...more },
});

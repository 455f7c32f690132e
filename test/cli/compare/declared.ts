/** Differences that are meant, by the line of the day: what is not as docker's, and why. */
export const DECLARED: Readonly<Record<string, string>> = {
  'docker run': 'every failure of run ends with 125, also that of its usage',
  'docker run --rm -u no-such-user busybox whoami': "users are looked up in the machine, whose answer is 126; docker's engine looks itself",
  'docker run --rm --memory 1k busybox true': 'a machine has the least memory that it can start with, and nothing is refused',
  'docker run -d --rm --restart always busybox true': 'the same refusal in other words',
  'docker run --rm -a stdout busybox sh -c "echo out; echo err >&2"': 'the streams of a program are all attached, or none with -d',
  'docker ps -a -s --filter name=day-web --format "{{.Size}}"': 'sizes of single machines are not measured',
  'docker exec day-web /no/such/program':
    "127 for a program that is not there, as a shell and as docker's newer engines; 26.1 gives 126 and says it on standard output",
  'docker logs --tail nonsense day-web': 'docker takes what is no number for all',
  'docker top day-web -o pid,comm': 'columns of ps are not chosen: images need no ps',
  "docker inspect -f '{{range .Config.Env}}{{println .}}{{end}}' day-web": 'the same variables in another order, and one of hypr for Vite',
  "docker image inspect -f '{{.Comment}} {{.Author}} {{.Config.Env}}' day-image:1": 'the same variables in another order',
  'docker push day-nothing': 'docker says what it is about to do before it looks whether there is such an image',
  'docker search --limit nonsense x': 'search is refused: registries have no search that works for all of them',
  'printf "FROM busybox\\nRUN exit 3\\n" | docker build -q -': "the exit code is buildx's, 1; docker's legacy builder has that of the RUN",
  'docker system prune -f --filter label=day=none': 'the build cache has no labels and stays; docker removes it whatever the label',
  'docker logout day-nowhere.test': 'hypr says that there was no login',
  'docker help | grep -ci usage': 'the number of lines with that word in a help text',
  "docker inspect -f '{{.State.Paused}} {{.State.Health.Status}}' day-web": "docker's probes fail for a while after a pause on a busy host",
  "docker system df --format '{{.Type}}'": 'templates of machines take space, too',
};

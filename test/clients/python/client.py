"""Google's Python clients as their users write them. argv: the transport, grpc or rest. Says each thing that it saw on a line of its own."""

import asyncio
import base64
import json
import sys

import google.auth
from google.api_core.exceptions import Forbidden
from google.auth import impersonated_credentials
from google.auth.transport.requests import Request
from google.cloud import iam_admin_v1, iam_credentials_v1, orgpolicy_v2, resourcemanager_v3, run_v2
from google.iam.v1 import iam_policy_pb2, policy_pb2
from googleapiclient import discovery

TRANSPORT = sys.argv[1]
PARENT = "projects/demo/locations/us-central1"
ROBOT = "robot-sa@demo.iam.gserviceaccount.com"
JOB = f"{PARENT}/jobs/python-{TRANSPORT}"
CLOUD = "https://www.googleapis.com/auth/cloud-platform"


def say(what, *seen):
    print(f"{what}:", *seen, flush=True)


def run_a_job():
    jobs = run_v2.JobsClient(transport=TRANSPORT)
    job = run_v2.Job(template={"task_count": 3, "template": {"containers": [{"image": "example.com/image"}]}})
    created = jobs.create_job(parent=PARENT, job=job, job_id=f"python-{TRANSPORT}").result(timeout=60)
    say("created", created.name)
    say("listed", str(JOB in [each.name for each in jobs.list_jobs(parent=PARENT)]).lower())
    execution = jobs.run_job(name=JOB).result(timeout=60)
    say("ran", execution.succeeded_count, "of", jobs.get_job(name=JOB).template.task_count)
    executions = run_v2.ExecutionsClient(transport=TRANSPORT)
    say("executions", len(list(executions.list_executions(parent=JOB))))
    tasks = run_v2.TasksClient(transport=TRANSPORT)
    say("tasks", *sorted(task.index for task in tasks.list_tasks(parent=execution.name)))
    policy = policy_pb2.Policy(bindings=[policy_pb2.Binding(role="roles/run.invoker", members=["user:dev@example.com"])])
    jobs.set_iam_policy(iam_policy_pb2.SetIamPolicyRequest(resource=JOB, policy=policy))
    (binding,) = jobs.get_iam_policy(iam_policy_pb2.GetIamPolicyRequest(resource=JOB)).bindings
    say("policy", binding.role, *binding.members)


def read_elsewhere():
    say("project", resourcemanager_v3.ProjectsClient(transport=TRANSPORT).get_project(name="projects/demo").project_id)
    policies = orgpolicy_v2.OrgPolicyClient(transport=TRANSPORT).list_policies(parent="projects/demo")
    say("constraints", len(list(policies)))
    # This library has no other transport.
    account = iam_admin_v1.IAMClient().get_service_account(name=f"projects/-/serviceAccounts/{ROBOT}")
    say("account", account.email)
    # The older library has REST alone, and finds its region in the host's name.
    regional = {"api_endpoint": "https://us-central1-run.googleapis.com"}
    job = discovery.build("run", "v1", client_options=regional).namespaces().jobs().get(name=f"namespaces/demo/jobs/python-{TRANSPORT}").execute()
    say("v1", job["metadata"]["name"])
    say("async", str(JOB in asyncio.run(list_jobs())).lower())


async def list_jobs():
    jobs = run_v2.JobsAsyncClient()  # gRPC alone
    return [job.name async for job in await jobs.list_jobs(parent=PARENT)]


def be_somebody_else():
    source, _ = google.auth.default(scopes=[CLOUD])
    robot = impersonated_credentials.Credentials(source, target_principal=ROBOT, target_scopes=[CLOUD])
    jobs = run_v2.JobsClient(credentials=robot, transport=TRANSPORT)
    say("as the account", jobs.get_job(name=JOB).name)
    try:
        jobs.delete_job(name=JOB)
    except Forbidden as error:
        say("denied", str("Permission 'run.jobs.delete' denied" in error.message).lower())
        say("reason", error.reason, error.metadata["permission"])
    identity = impersonated_credentials.IDTokenCredentials(robot, target_audience="https://service.example", include_email=True)
    identity.refresh(Request())
    say_identity("identity", identity.token)
    name = f"projects/-/serviceAccounts/{ROBOT}"
    credentials = iam_credentials_v1.IAMCredentialsClient(transport=TRANSPORT)
    say_identity("identity", credentials.generate_id_token(name=name, audience="https://service.example", include_email=True).token)


def say_identity(what, token):
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    say(what, claims["aud"], claims["email"])


run_a_job()
read_elsewhere()
be_somebody_else()
run_v2.JobsClient(transport=TRANSPORT).delete_job(name=JOB).result(timeout=60)
say("deleted", "true")

import com.google.api.gax.rpc.ApiException;
import com.google.auth.oauth2.GoogleCredentials;
import com.google.auth.oauth2.IdTokenCredentials;
import com.google.auth.oauth2.IdTokenProvider;
import com.google.auth.oauth2.ImpersonatedCredentials;
import com.google.cloud.iam.admin.v1.IAMClient;
import com.google.cloud.orgpolicy.v2.OrgPolicyClient;
import com.google.cloud.orgpolicy.v2.OrgPolicySettings;
import com.google.cloud.resourcemanager.v3.ProjectsClient;
import com.google.cloud.resourcemanager.v3.ProjectsSettings;
import com.google.cloud.run.v2.Container;
import com.google.cloud.run.v2.Execution;
import com.google.cloud.run.v2.ExecutionTemplate;
import com.google.cloud.run.v2.ExecutionsClient;
import com.google.cloud.run.v2.ExecutionsSettings;
import com.google.cloud.run.v2.Job;
import com.google.cloud.run.v2.JobsClient;
import com.google.cloud.run.v2.JobsSettings;
import com.google.cloud.run.v2.LocationName;
import com.google.cloud.run.v2.Task;
import com.google.cloud.run.v2.TaskTemplate;
import com.google.cloud.run.v2.TasksClient;
import com.google.cloud.run.v2.TasksSettings;
import com.google.iam.v1.Binding;
import com.google.iam.v1.GetIamPolicyRequest;
import com.google.iam.v1.Policy;
import com.google.iam.v1.SetIamPolicyRequest;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;

/** Google's Java clients as their users write them. The argument is the transport, grpc or rest. Says each thing that it saw on a line of its own. */
public class Client {
  static final String PARENT = "projects/demo/locations/us-central1";
  static final String ROBOT = "robot-sa@demo.iam.gserviceaccount.com";
  static final List<String> CLOUD = List.of("https://www.googleapis.com/auth/cloud-platform");

  final boolean rest;
  final String jobId;
  final String jobName;

  Client(String transport) {
    rest = transport.equals("rest");
    jobId = "java-" + transport;
    jobName = PARENT + "/jobs/" + jobId;
  }

  public static void main(String[] args) throws Exception {
    Client client = new Client(args[0]);
    try (JobsClient jobs = JobsClient.create(client.jobsSettings().build())) {
      client.runAJob(jobs);
      client.readElsewhere();
      client.beSomebodyElse();
      jobs.deleteJobAsync(client.jobName).get();
      say("deleted", true);
    }
  }

  JobsSettings.Builder jobsSettings() throws Exception {
    return rest ? JobsSettings.newHttpJsonBuilder() : JobsSettings.newBuilder();
  }

  void runAJob(JobsClient jobs) throws Exception {
    TaskTemplate task = TaskTemplate.newBuilder().addContainers(Container.newBuilder().setImage("example.com/image")).build();
    Job job = Job.newBuilder().setTemplate(ExecutionTemplate.newBuilder().setTaskCount(3).setTemplate(task)).build();
    say("created", jobs.createJobAsync(LocationName.of("demo", "us-central1"), job, jobId).get().getName());
    say("listed", StreamSupport.stream(jobs.listJobs(PARENT).iterateAll().spliterator(), false).anyMatch(each -> each.getName().equals(jobName)));
    Execution execution = jobs.runJobAsync(jobName).get();
    say("ran", execution.getSucceededCount(), "of", jobs.getJob(jobName).getTemplate().getTaskCount());
    ExecutionsSettings.Builder ofExecutions = rest ? ExecutionsSettings.newHttpJsonBuilder() : ExecutionsSettings.newBuilder();
    try (ExecutionsClient executions = ExecutionsClient.create(ofExecutions.build())) {
      say("executions", StreamSupport.stream(executions.listExecutions(jobName).iterateAll().spliterator(), false).count());
    }
    TasksSettings.Builder ofTasks = rest ? TasksSettings.newHttpJsonBuilder() : TasksSettings.newBuilder();
    try (TasksClient tasks = TasksClient.create(ofTasks.build())) {
      say("tasks", StreamSupport.stream(tasks.listTasks(execution.getName()).iterateAll().spliterator(), false).map(Task::getIndex).sorted().map(String::valueOf).collect(Collectors.joining(" ")));
    }
    Policy policy = Policy.newBuilder().addBindings(Binding.newBuilder().setRole("roles/run.invoker").addMembers("user:dev@example.com")).build();
    jobs.setIamPolicy(SetIamPolicyRequest.newBuilder().setResource(jobName).setPolicy(policy).build());
    Binding binding = jobs.getIamPolicy(GetIamPolicyRequest.newBuilder().setResource(jobName).build()).getBindings(0);
    say("policy", binding.getRole(), binding.getMembers(0));
  }

  void readElsewhere() throws Exception {
    ProjectsSettings.Builder ofProjects = rest ? ProjectsSettings.newHttpJsonBuilder() : ProjectsSettings.newBuilder();
    try (ProjectsClient projects = ProjectsClient.create(ofProjects.build())) {
      say("project", projects.getProject("projects/demo").getProjectId());
    }
    OrgPolicySettings.Builder ofPolicies = rest ? OrgPolicySettings.newHttpJsonBuilder() : OrgPolicySettings.newBuilder();
    try (OrgPolicyClient policies = OrgPolicyClient.create(ofPolicies.build())) {
      say("constraints", StreamSupport.stream(policies.listPolicies("projects/demo").iterateAll().spliterator(), false).count());
    }
    // This library has no other transport.
    try (IAMClient accounts = IAMClient.create()) {
      say("account", accounts.getServiceAccount("projects/-/serviceAccounts/" + ROBOT).getEmail());
    }
  }

  void beSomebodyElse() throws Exception {
    GoogleCredentials source = GoogleCredentials.getApplicationDefault().createScoped(CLOUD);
    ImpersonatedCredentials robot = ImpersonatedCredentials.create(source, ROBOT, null, CLOUD, 600);
    try (JobsClient jobs = JobsClient.create(jobsSettings().setCredentialsProvider(() -> robot).build())) {
      say("as the account", jobs.getJob(jobName).getName());
      try {
        jobs.deleteJobAsync(jobName).get();
      } catch (java.util.concurrent.ExecutionException error) {
        ApiException denied = (ApiException) error.getCause();
        // Over REST this library keeps the answer as it came, in the cause.
        String words = rest ? denied.getCause().getMessage() : denied.getMessage();
        say("denied", words.contains("Permission 'run.jobs.delete' denied"));
        if (rest) say("reason", find(words, "\"reason\": \"(\\w+)\""), find(words, "\"permission\": \"([\\w.]+)\""));
        else say("reason", denied.getReason(), denied.getMetadata().get("permission"));
      }
    }
    IdTokenCredentials identity =
        IdTokenCredentials.newBuilder().setIdTokenProvider(robot).setTargetAudience("https://service.example").setOptions(List.of(IdTokenProvider.Option.INCLUDE_EMAIL)).build();
    identity.refresh();
    String payload = new String(Base64.getUrlDecoder().decode(identity.getIdToken().getTokenValue().split("\\.")[1]), StandardCharsets.UTF_8);
    say("identity", find(payload, "\"aud\":\"([^\"]+)\""), find(payload, "\"email\":\"([^\"]+)\""));
  }

  /** What a group of a pattern matches in JSON, which needs no library more. */
  static String find(String json, String pattern) {
    Matcher found = Pattern.compile(pattern).matcher(json);
    return found.find() ? found.group(1) : "nothing";
  }

  static void say(String what, Object... seen) {
    System.out.println(what + ": " + List.of(seen).stream().map(String::valueOf).collect(Collectors.joining(" ")));
  }
}

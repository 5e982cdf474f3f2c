// Google's Go clients as their users write them. The argument is the transport, grpc or rest. Says each thing that it saw on a line of its own.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"

	admin "cloud.google.com/go/iam/admin/apiv1"
	"cloud.google.com/go/iam/admin/apiv1/adminpb"
	"cloud.google.com/go/iam/apiv1/iampb"
	credentials "cloud.google.com/go/iam/credentials/apiv1"
	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	orgpolicy "cloud.google.com/go/orgpolicy/apiv2"
	"cloud.google.com/go/orgpolicy/apiv2/orgpolicypb"
	resourcemanager "cloud.google.com/go/resourcemanager/apiv3"
	"cloud.google.com/go/resourcemanager/apiv3/resourcemanagerpb"
	run "cloud.google.com/go/run/apiv2"
	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/googleapis/gax-go/v2/apierror"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/impersonate"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	runv1 "google.golang.org/api/run/v1"
)

const (
	parent = "projects/demo/locations/us-central1"
	robot  = "robot-sa@demo.iam.gserviceaccount.com"
	cloud  = "https://www.googleapis.com/auth/cloud-platform"
)

var (
	ctx       = context.Background()
	transport = os.Args[1]
	jobID     = "go-" + transport
	jobName   = parent + "/jobs/" + jobID
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatalf("%+v", err)
	}
	return value
}

// choose gives the client of the transport that is tried.
func choose[T any](grpc, rest func(context.Context, ...option.ClientOption) (T, error), options ...option.ClientOption) T {
	if transport == "rest" {
		return must(rest(ctx, options...))
	}
	return must(grpc(ctx, options...))
}

func collect[T any](next func() (T, error)) []T {
	all := []T{}
	for {
		each, err := next()
		if errors.Is(err, iterator.Done) {
			return all
		}
		all = append(all, must(each, err))
	}
}

func main() {
	jobs := choose(run.NewJobsClient, run.NewJobsRESTClient)
	runAJob(jobs)
	readElsewhere()
	beSomebodyElse()
	must(must(jobs.DeleteJob(ctx, &runpb.DeleteJobRequest{Name: jobName})).Wait(ctx))
	fmt.Println("deleted: true")
}

func runAJob(jobs *run.JobsClient) {
	template := &runpb.TaskTemplate{Containers: []*runpb.Container{{Image: "example.com/image"}}}
	job := &runpb.Job{Template: &runpb.ExecutionTemplate{TaskCount: 3, Template: template}}
	creating := must(jobs.CreateJob(ctx, &runpb.CreateJobRequest{Parent: parent, JobId: jobID, Job: job}))
	fmt.Println("created:", must(creating.Wait(ctx)).Name)
	listed := collect(jobs.ListJobs(ctx, &runpb.ListJobsRequest{Parent: parent}).Next)
	fmt.Println("listed:", slices.ContainsFunc(listed, func(each *runpb.Job) bool { return each.Name == jobName }))
	execution := must(must(jobs.RunJob(ctx, &runpb.RunJobRequest{Name: jobName})).Wait(ctx))
	got := must(jobs.GetJob(ctx, &runpb.GetJobRequest{Name: jobName}))
	fmt.Println("ran:", execution.SucceededCount, "of", got.Template.TaskCount)
	executions := choose(run.NewExecutionsClient, run.NewExecutionsRESTClient)
	fmt.Println("executions:", len(collect(executions.ListExecutions(ctx, &runpb.ListExecutionsRequest{Parent: jobName}).Next)))
	tasks := choose(run.NewTasksClient, run.NewTasksRESTClient)
	indexes := []int{}
	for _, task := range collect(tasks.ListTasks(ctx, &runpb.ListTasksRequest{Parent: execution.Name}).Next) {
		indexes = append(indexes, int(task.Index))
	}
	slices.Sort(indexes)
	fmt.Println("tasks:", strings.Trim(fmt.Sprint(indexes), "[]"))
	policy := &iampb.Policy{Bindings: []*iampb.Binding{{Role: "roles/run.invoker", Members: []string{"user:dev@example.com"}}}}
	must(jobs.SetIamPolicy(ctx, &iampb.SetIamPolicyRequest{Resource: jobName, Policy: policy}))
	binding := must(jobs.GetIamPolicy(ctx, &iampb.GetIamPolicyRequest{Resource: jobName})).Bindings[0]
	fmt.Println("policy:", binding.Role, binding.Members[0])
}

func readElsewhere() {
	projects := choose(resourcemanager.NewProjectsClient, resourcemanager.NewProjectsRESTClient)
	fmt.Println("project:", must(projects.GetProject(ctx, &resourcemanagerpb.GetProjectRequest{Name: "projects/demo"})).ProjectId)
	policies := choose(orgpolicy.NewClient, orgpolicy.NewRESTClient)
	fmt.Println("constraints:", len(collect(policies.ListPolicies(ctx, &orgpolicypb.ListPoliciesRequest{Parent: "projects/demo"}).Next)))
	// This library has no other transport.
	accounts := must(admin.NewIamClient(ctx))
	account := must(accounts.GetServiceAccount(ctx, &adminpb.GetServiceAccountRequest{Name: "projects/-/serviceAccounts/" + robot}))
	fmt.Println("account:", account.Email)
	// The older library has REST alone, and finds its region in the host's name.
	v1 := must(runv1.NewService(ctx, option.WithEndpoint("https://us-central1-run.googleapis.com/")))
	fmt.Println("v1:", must(v1.Namespaces.Jobs.Get("namespaces/demo/jobs/"+jobID).Do()).Metadata.Name)
}

func beSomebodyElse() {
	own := must(google.FindDefaultCredentials(ctx, cloud))
	source := option.WithTokenSource(own.TokenSource)
	token := must(impersonate.CredentialsTokenSource(ctx, impersonate.CredentialsConfig{TargetPrincipal: robot, Scopes: []string{cloud}}, source))
	jobs := choose(run.NewJobsClient, run.NewJobsRESTClient, option.WithTokenSource(token))
	fmt.Println("as the account:", must(jobs.GetJob(ctx, &runpb.GetJobRequest{Name: jobName})).Name)
	_, err := jobs.DeleteJob(ctx, &runpb.DeleteJobRequest{Name: jobName})
	var denied *apierror.APIError
	if !errors.As(err, &denied) {
		log.Fatalf("not denied: %v", err)
	}
	fmt.Println("denied:", strings.Contains(denied.Error(), "Permission 'run.jobs.delete' denied"))
	fmt.Println("reason:", denied.Reason(), denied.Metadata()["permission"])
	identity := must(impersonate.IDTokenSource(ctx, impersonate.IDTokenConfig{TargetPrincipal: robot, Audience: "https://service.example", IncludeEmail: true}))
	sayIdentity(must(identity.Token()).AccessToken)
	iam := choose(credentials.NewIamCredentialsClient, credentials.NewIamCredentialsRESTClient)
	request := &credentialspb.GenerateIdTokenRequest{Name: "projects/-/serviceAccounts/" + robot, Audience: "https://service.example", IncludeEmail: true}
	sayIdentity(must(iam.GenerateIdToken(ctx, request)).Token)
}

func sayIdentity(token string) {
	claims := struct{ Aud, Email string }{}
	payload := must(base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1]))
	if err := json.Unmarshal(payload, &claims); err != nil {
		log.Fatal(err)
	}
	fmt.Println("identity:", claims.Aud, claims.Email)
}
